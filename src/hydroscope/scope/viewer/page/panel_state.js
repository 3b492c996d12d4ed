/**
 * The states of the nodes at one moment, and the slider that moves it.
 */

import { make } from "./dom.js";
import { clockTime, commas } from "./scale.js";
import { groupsOf, States } from "./states.js";

/** @typedef {import("./trace.js").Trace} Trace */

const SHOWN_KEYS = 400;

export class StatePanel {
  /**
   * @param {Trace} trace With changes.
   * @param {(stamp: bigint) => void} onMove Told when the slider or a step has moved the moment.
   */
  constructor(trace, onMove) {
    this.trace = trace;
    this.onMove = onMove;
    this.states = new States(/** @type {Record<string, any>} */ (trace.changes));
    this.states.move(this.states.n);
    this.slider = make("input", {
      type: "range",
      min: "0",
      max: String(this.states.n),
      step: "1",
      "aria-label": "Moment of the state",
      input: () => this.#to(() => this.states.move(Number(this.slider.value))),
    });
    this.moment = make("output", { class: "moment" });
    this.changed = make("ul", { class: "changed" });
    this.filter = make("input", {
      type: "search",
      class: "filter",
      placeholder: "keys with…",
      "aria-label": "Show keys with",
      input: () => this.fill(),
    });
    this.tree = make("div", { class: "tree" });
    /** Nodes whose states were closed. @type {Set<string>} */ this.closed = new Set();
    const step = (/** @type {number} */ way, /** @type {string} */ text, /** @type {string} */ name) =>
      make("button", { type: "button", text, title: name, "aria-label": name, click: () => this.step(way) });
    const slide = make("div", { class: "slide" }, [
      step(-1, "◂", "Change before ( , )"),
      this.slider,
      step(1, "▸", "Next change ( . )"),
    ]);
    this.root = make("div", { class: "state" }, [
      make("div", { class: "state-head" }, [slide, this.moment, this.changed, this.filter]),
      this.tree,
    ]);
    this.fill();
  }

  /** @param {number} way 1 or -1. */
  step(way) {
    this.#to(() => this.states.step(way));
  }

  /** Show the state at a stamp; without telling anybody. @param {bigint} stamp */
  show(stamp) {
    this.states.move(this.states.placeOf(stamp));
    this.fill();
  }

  #to(/** @type {() => void} */ move) {
    move();
    this.fill();
    this.tree.querySelector(".pair.fresh")?.scrollIntoView({ block: "center" });
    this.onMove(this.states.stampHere());
  }

  fill() {
    const { states, trace } = this;
    this.slider.value = String(states.place);
    const stamp = states.stampHere();
    const at = Number(stamp - trace.t0);
    const moment = `hybrid time ${clockTime(trace.t0, at, 6)} · ${commas(states.place)} of ${commas(states.n)} changes`;
    this.moment.textContent = moment;
    this.slider.setAttribute("aria-valuetext", moment);
    const last = states.last();
    this.changed.replaceChildren(
      ...last.map((change) =>
        make("li", {}, [
          make("b", { text: change.node }),
          ` ${change.key}: `,
          make("del", { text: change.old ?? "absent" }),
          " → ",
          make("ins", { text: change.fresh ?? "absent" }),
        ]),
      ),
    );
    const fresh = new Set(last.map((change) => `${change.node}\n${change.key}`));
    this.tree.replaceChildren(...states.nodes.map((name, node) => this.#node(name, node, fresh)));
  }

  #node(/** @type {string} */ name, /** @type {number} */ node, /** @type {Set<string>} */ fresh) {
    const wanted = this.filter.value.toLowerCase();
    const items = this.states.items(node).filter(([key]) => key.toLowerCase().includes(wanted));
    const isFresh = [...fresh].some((each) => each.startsWith(`${name}\n`));
    const rows = groupsOf(items.slice(0, SHOWN_KEYS)).flatMap(({ path, items: inside }) => [
      ...(path ? [make("div", { class: "path", text: path })] : []),
      ...inside.map(([key, value]) =>
        make(
          "div",
          { class: fresh.has(`${name}\n${path}${key}`) ? "pair fresh" : "pair", title: `${path}${key} = ${value}` },
          [make("span", { class: "key", text: key }), make("span", { class: "value", text: value })],
        ),
      ),
    ]);
    if (items.length > SHOWN_KEYS)
      rows.push(make("div", { class: "path", text: `and ${commas(items.length - SHOWN_KEYS)} keys more` }));
    const details = make("details", { open: !this.closed.has(name), class: isFresh ? "fresh" : "" }, [
      make("summary", {}, [make("b", { text: name }), ` ${commas(items.length)} keys`]),
      ...rows,
    ]);
    details.addEventListener("toggle", () => {
      if (details.open) this.closed.delete(name);
      else this.closed.add(name);
    });
    return details;
  }
}
