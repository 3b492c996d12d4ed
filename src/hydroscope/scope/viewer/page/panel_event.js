/**
 * All that is known of the selected record.
 */

import { coneSize, relation, spine } from "./cones.js";
import { make } from "./dom.js";
import { bytes, clockTime, commas, span } from "./scale.js";
import { KIND, KIND_NAMES } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {(record: number) => void} Go */

const HEARD = 8;

/** @param {Scene} scene @param {Go} go */
export function eventPanel(scene, go) {
  const i = scene.selected;
  if (i < 0) {
    return make("div", { class: "empty" }, [
      make("p", {
        text: "Select a record, a task or an arrow to see what is known of it, its causes and its effects.",
      }),
      make("p", { text: "Press ? for the keys." }),
    ]);
  }
  const { trace } = scene;
  const text = trace.texts[trace.text[i]];
  return make("div", { class: "event" }, [
    make("h2", { text: trace.short(i) }),
    text && text !== trace.labels[trace.label[i]] ? make("p", { class: "said", text }) : null,
    scene.marked >= 0 && scene.marked !== i ? measure(scene, go) : null,
    facts(scene, go),
    data(trace, i),
    causes(scene, go),
  ]);
}

/** @param {Scene} scene @param {Go} go */
function facts(scene, go) {
  const { trace } = scene;
  const i = scene.selected;
  const list = make("dl");
  const add = (/** @type {string} */ name, /** @type {(string | Node)[]} */ ...values) => {
    list.append(make("dt", { text: name }), make("dd", {}, values));
  };
  const lane = trace.lanes[trace.laneOf[i]];
  add("node", trace.nodes[trace.node[i]].name, lane.name ? ` · ${lane.name}` : "");
  add("time", `${clockTime(trace.t0, trace.time[i], 9)} ±${span(trace.error(i))}`);
  add("since first", span(trace.time[i] - trace.begin));
  if (trace.peer[i] >= 0) add(trace.isSend(i) ? "to" : "from", trace.nodes[trace.peer[i]].name);
  const partner = trace.partner[i];
  if (partner >= 0) {
    const took = Math.abs(trace.time[i] - trace.time[partner]);
    const error = trace.node[i] === trace.node[partner] ? 0 : trace.error(i) + trace.error(partner);
    add("took", `${span(took)}${error ? ` ±${span(error)}` : ""}`);
    add("other end", link(scene, partner, go));
  } else if (trace.isSend(i)) add("other end", "no receipt is recorded");
  else if (trace.isReceipt(i)) add("other end", "no record of it being sent");
  const begun = trace.kind[i] === KIND.ENDED ? trace.begun[i] : i;
  if (trace.kind[i] === KIND.STARTED || (trace.kind[i] === KIND.ENDED && begun >= 0)) {
    const end = trace.ended[begun];
    add("ran", end >= 0 ? span(trace.time[end] - trace.time[begun]) : "no end is recorded");
    const queued = trace.begun[begun];
    if (queued >= 0) add("waited", span(trace.time[begun] - trace.time[queued]));
  }
  const subject = trace.names[trace.subject[i]];
  if (trace.subject[i] && subject)
    add(trace.kind[i] >= KIND.PUT && trace.kind[i] <= KIND.SPILLED ? "key" : "about", subject);
  if (trace.idOf(i)) add("id", String(trace.idOf(i)));
  if (trace.nBytes[i]) add("length", bytes(trace.nBytes[i]));
  add("stamp", String(trace.stampOf(i)));
  return list;
}

/** First bytes, as digits and as text. @param {import("./trace.js").Trace} trace @param {number} i */
function data(trace, i) {
  const raw = trace.dataOf(i);
  if (!raw.length || trace.kind[i] === KIND.SAMPLE || trace.kind[i] === KIND.CLOCK) return null;
  const lines = [];
  for (let at = 0; at < raw.length; at += 8) {
    const part = [...raw.subarray(at, at + 8)];
    const hex = part
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(" ")
      .padEnd(24);
    lines.push(`${hex} ${part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("")}`);
  }
  const more = trace.nBytes[i] > raw.length ? `, of ${bytes(trace.nBytes[i])}` : "";
  return make("details", { class: "data" }, [
    make("summary", { text: `First ${raw.length} bytes${more}` }),
    make("pre", { text: lines.join("\n") }),
  ]);
}

/** Past and future in numbers, and by which messages they are. @param {Scene} scene @param {Go} go */
function causes(scene, go) {
  const { trace } = scene;
  const lit = /** @type {import("./cones.js").Cone} */ (scene.cone);
  const size = coneSize(trace, lit);
  const found = spine(trace, lit);
  const list = (/** @type {number[]} */ receipts, /** @type {boolean} */ isPast) =>
    make(
      "ul",
      { class: "heard" },
      receipts.slice(0, HEARD).map((i) => {
        const end = isPast ? trace.partner[i] : i;
        return make("li", {}, [link(scene, end, go)]);
      }),
    );
  const more = (/** @type {number[]} */ all) =>
    all.length > HEARD ? make("p", { class: "more", text: `and ${all.length - HEARD} nodes more` }) : null;
  return make("div", { class: "causes" }, [
    make("h3", { class: "past", text: `${commas(size.past)} records can have caused it` }),
    found.past.length ? make("p", { class: "hint", text: "The last of each other node that it can know of:" }) : null,
    list(found.past, true),
    more(found.past),
    make("h3", { class: "future", text: `${commas(size.future)} records can be its effects` }),
    found.future.length
      ? make("p", { class: "hint", text: "The first of each other node that can know of it:" })
      : null,
    list(found.future, false),
    more(found.future),
  ]);
}

/** A record as a button that goes there. @param {Scene} scene @param {number} i @param {Go} go */
function link({ trace, selected }, i, go) {
  const by = trace.time[i] - trace.time[selected];
  return make("button", { type: "button", class: "link", click: () => go(i), title: trace.told(i) }, [
    make("b", { text: trace.nodes[trace.node[i]].name }),
    ` ${KIND_NAMES[trace.kind[i]]} ${trace.labels[trace.label[i]]}`,
    by ? make("span", { class: "by", text: ` ${by < 0 ? "−" : "+"}${span(Math.abs(by))}` }) : null,
  ]);
}

/** From the marked record to the selected one. @param {Scene} scene @param {Go} go */
function measure(scene, go) {
  const { trace, marked, selected } = scene;
  const lit = /** @type {import("./cones.js").Cone} */ (scene.cone);
  const by = trace.time[selected] - trace.time[marked];
  const error = trace.node[marked] === trace.node[selected] ? 0 : trace.error(marked) + trace.error(selected);
  const words = {
    before: "The marked record came before, and can have caused it.",
    after: "The marked record came after, and can be its effect.",
    concurrent: "Neither can have caused the other: no messages lead from one to the other.",
    same: "",
  };
  return make("div", { class: "measure" }, [
    make("p", {}, ["from ", link(scene, marked, go)]),
    make("p", { class: "big", text: `${by < 0 ? "−" : "+"}${span(Math.abs(by))}${error ? ` ±${span(error)}` : ""}` }),
    make("p", { text: words[relation(trace, lit, marked)] }),
  ]);
}
