/**
 * Play with the page: commands on standard input, a line of JSON each, what the page then is on standard output.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { answered } from "./answers.mjs";
import { newPage, happen, settle } from "./standin.mjs";
import { App } from "../../src/hydroscope/scope/viewer/page/app.js";
import { Container } from "../../src/hydroscope/scope/viewer/page/columns.js";
import { readTrace } from "../../src/hydroscope/scope/viewer/page/trace.js";

const boxes = new Map();
let app;
let place;

/** A timeline, unpacked once however often it is opened. */
async function read(file) {
  if (!boxes.has(file)) boxes.set(file, await readTrace(new Container(new Uint8Array(readFileSync(file)))));
  return boxes.get(file);
}

const pane = (k) => app.panes[k];
const canvas = (k, name) => pane(k).root.querySelector(`canvas.${name}`);

/** The element that a selector means; with a text, the first that says it. */
function element(selector, text) {
  const found = place
    .querySelectorAll(selector)
    .filter((each) => text === undefined || each.textContent.includes(text));
  if (!found.length) throw new Error(`there is no ${selector}${text === undefined ? "" : ` with “${text}”`}`);
  return found[0];
}

function told(each) {
  const { attributes, disabled, hidden, checked, value, open } = each;
  const attributes_ = Object.fromEntries(attributes);
  return { ...attributes_, tag: each.tagName, text: each.textContent, disabled, hidden, checked, value, open };
}

const COMMANDS = {
  open: async (files, options) => {
    place = newPage(options);
    app = new App(place);
    for (const file of files) app.add(await read(file));
    app.active.canvas.focus();
  },
  key: (key, has = {}) => happen(document.activeElement, "keydown", { key, ...has }),
  type: (selector, text) => {
    const box = element(selector);
    box.focus();
    box.value = text;
    happen(box, "input");
  },
  click: (selector, text) => {
    const found = element(selector, text);
    found.focus();
    found.click();
  },
  tick: (name) =>
    place
      .querySelectorAll(".choice")
      .find((each) => each.querySelector(".name").textContent === name)
      .querySelector("input")
      .click(),
  focus: (selector, text) => element(selector, text).focus(),
  wheel: (k, x, deltaY, has = {}) => happen(pane(k).plot, "wheel", { offsetX: x, offsetY: 9, deltaY, ...has }),
  press: (k, x, y, has = {}) => {
    const at = { offsetX: x, offsetY: y, clientX: x, clientY: y, ...has };
    happen(pane(k).root, "pointerdown", at);
    happen(pane(k).plot, "pointerdown", at);
    happen(pane(k).plot, has.ends ?? "pointerup", at);
  },
  drag: (k, where, x1, x2, has = {}) => {
    const on = where === "plot" ? pane(k).plot : canvas(k, where);
    const at = (x) => ({ offsetX: x, offsetY: 30, clientX: x, clientY: 30, buttons: 1, ...has });
    happen(on, "pointerdown", at(x1));
    happen(on, "pointermove", at((x1 + x2) / 2));
    happen(on, "pointermove", at(x2));
    happen(on, "pointerup", at(x2));
  },
  hover: (k, x, y) => happen(pane(k).plot, "pointermove", { offsetX: x, offsetY: y }),
  leave: (k) => happen(pane(k).plot, "pointerleave"),
  double: (k, x, y) => happen(pane(k).plot, "dblclick", { offsetX: x, offsetY: y }),
  show: (k, from, to) => pane(k).show(from, to, false),
  drop: async (file, name) => {
    const text = async () => readFileSync(file, "utf8");
    happen(document, "drop", { dataTransfer: { files: [{ name, text }] } });
    for (let turn = 0; app.status.textContent.startsWith("Reading"); turn++) {
      if (turn > 2000) throw new Error("it goes on reading");
      await new Promise((done) => setTimeout(done, 1));
      settle();
    }
  },
  slide: (place_) => {
    const slider = element(".slide input");
    slider.value = String(place_);
    happen(slider, "input");
  },
  state: () => ({
    panes: app.panes.map(({ scene, body, tip }) => ({
      from: scene.view.from,
      to: scene.view.to,
      low: scene.view.low,
      high: scene.view.high,
      width: scene.view.width,
      selected: scene.selected,
      marked: scene.marked,
      divergence: scene.divergence,
      cut: scene.cut && [...scene.cut],
      hits: scene.hits && [...scene.hits],
      closed: [...scene.layout.closed].sort((a, b) => a - b),
      hidden: [...scene.mask.keys()].filter((i) => scene.mask[i] & 1),
      scrolled: body.scrollTop,
      tip: tip.hidden
        ? null
        : { text: tip.textContent, left: parseFloat(tip.style.left), top: parseFloat(tip.style.top) },
    })),
    active: app.panes.indexOf(app.active),
    status: app.status.textContent,
    live: app.live.textContent,
    theme: document.documentElement.dataset.theme ?? null,
    title: document.title,
    focus: told(document.activeElement),
  }),
  places: (k) => {
    const { scene } = pane(k);
    return Array.from({ length: scene.trace.n }, (_, i) => {
      const y = scene.layout.yOf(i) - scene.scrollY;
      return [scene.view.x(scene.trace.time[i]), Number.isNaN(y) ? null : y];
    });
  },
  slots: (k) => pane(k).scene.layout.slots.map((slot) => ({ ...slot, y: slot.y - pane(k).scene.scrollY })),
  drawn: (k, name) => canvas(k, name).calls,
  texts: (selector) => place.querySelectorAll(selector).map((each) => each.textContent),
  told: (selector) => place.querySelectorAll(selector).map(told),
  answers: async (files, questions) => {
    const traces = [];
    for (const file of files) traces.push(await read(file));
    return answered(traces, questions);
  },
  keys: () => {
    const names = [
      "ArrowLeft",
      "ArrowRight",
      "ArrowUp",
      "ArrowDown",
      "Backspace",
      "Escape",
      "Enter",
      "Tab",
      "Home",
      "End",
      " ",
    ];
    for (let code = 33; code < 127; code++) names.push(String.fromCharCode(code));
    return names.filter((key) => {
      app.helper.open = false;
      app.active.canvas.focus();
      return happen(document.activeElement, "keydown", { key });
    });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await COMMANDS[name](...given)) ?? null };
    settle();
  } catch (error) {
    answer = { error: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
