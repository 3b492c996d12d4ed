/**
 * The search box, and the way from match to match.
 */

import { make, tool } from "./dom.js";
import { commas } from "./scale.js";
import { compile, find } from "./search.js";

/** @typedef {import("./app.js").App} App */

const TYPING_MS = 150;

export class Finder {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.at = -1;
    this.search = make("input", {
      type: "search",
      class: "search",
      spellcheck: "false",
      autocomplete: "off",
      "aria-label": "Search records",
      placeholder: "Search: word, kind:sent, /regex/, took>5ms",
      input: () => this.#onType(),
      keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
    });
    this.count = make("output", { class: "count" });
    this.only = make("input", { type: "checkbox", change: () => this.search.value && this.run() });
    this.root = make("div", { class: "finder", role: "search" }, [
      this.search,
      this.count,
      tool("‹", "Match before", () => this.go(-1), "N"),
      tool("›", "Next match", () => this.go(1), "n"),
      make("label", { class: "only", title: "Hide all that does not match" }, [this.only, "only matches"]),
    ]);
  }

  #onType() {
    clearTimeout(this.typing);
    this.typing = window.setTimeout(() => this.run(), TYPING_MS);
  }

  #onKey(/** @type {KeyboardEvent} */ event) {
    if (event.key === "Enter") {
      this.run();
      this.go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.search.value = "";
      this.run();
      this.app.active?.canvas.focus();
    } else return;
    event.preventDefault();
  }

  /** Find what the box asks for, in all panes. */
  run() {
    clearTimeout(this.typing);
    this.at = -1;
    try {
      for (const pane of this.app.panes) {
        const test = compile(pane.scene.trace, this.search.value);
        pane.scene.hits = test ? find(pane.scene.trace, test) : null;
        pane.scene.only = this.only.checked;
        pane.applyMask();
      }
      this.search.setCustomValidity("");
      this.count.title = "";
      this.tell();
      this.app.say("");
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      this.search.setCustomValidity(message);
      this.count.textContent = "?";
      this.count.title = message;
      this.app.say(message, true);
    }
  }

  /** Show how many there are. */
  tell() {
    const hits = this.app.active?.scene.hits;
    const n = hits?.length ?? 0;
    const text = this.at >= 0 ? `${commas(this.at + 1)} / ${commas(n)}` : `${commas(n)} found`;
    this.count.textContent = hits ? text : "";
  }

  /** To a match: from the selected record, or from the beginning of the view. @param {number} way 1 or -1. */
  go(way) {
    const pane = this.app.active;
    const hits = pane?.scene.hits;
    if (!pane || !hits?.length) return;
    const { trace, selected, view } = pane.scene;
    const from = selected >= 0 ? selected : pane.scene.latest(view.from);
    const rank = from >= 0 ? trace.rank[from] : -1;
    let [low, high] = [0, hits.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (trace.rank[hits[middle]] < rank + (way > 0 ? 1 : 0)) low = middle + 1;
      else high = middle;
    }
    this.at = ((way > 0 ? low : low - 1) + hits.length) % hits.length;
    this.app.go(hits[this.at]);
    this.tell();
  }
}
