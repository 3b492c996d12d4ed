/**
 * The panels beside the lanes, and their tabs.
 */

import { make } from "./dom.js";
import { eventPanel } from "./panel_event.js";
import { findingsPanel } from "./panel_findings.js";
import { showPanel } from "./panel_show.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {"findings" | "event" | "show" | "state"} Tab */

/** From a tab to its neighbours. */
const WAYS = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 });

export class Panels {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {Tab} */ this.tab = "findings";
    this.tabs = make("div", {
      class: "tabs",
      role: "tablist",
      "aria-label": "Panels",
      keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
    });
    this.panel = make("div", { class: "panel", role: "tabpanel", tabindex: "0", id: "panel" });
    this.root = make("aside", {}, [this.tabs, this.panel]);
  }

  /** Make the tabs of the timeline that is looked at. */
  fill() {
    const n = this.app.active?.scene.trace.findings.length;
    /** @type {[Tab, string][]} */
    const all = [
      ["findings", n ? `Findings ${n}` : "Findings"],
      ["event", "Event"],
      ["show", "Show"],
    ];
    if (this.app.state) all.push(["state", "State"]);
    this.tabs.replaceChildren(
      ...all.map(([tab, text]) =>
        make("button", {
          type: "button",
          role: "tab",
          id: `tab-${tab}`,
          text,
          "aria-controls": "panel",
          "data-tab": tab,
          click: () => this.open(tab),
        }),
      ),
    );
    this.open(this.tab);
  }

  /** Open a panel, or fill it anew if it is open. @param {Tab} tab */
  open(tab) {
    this.tab = tab;
    for (const each of this.tabs.children) {
      const isOpen = each.getAttribute("data-tab") === tab;
      each.setAttribute("aria-selected", String(isOpen));
      each.setAttribute("tabindex", isOpen ? "0" : "-1");
    }
    const inside = this.#inside(tab);
    if (!inside || this.panel.children[0] === inside) return;
    const hadFocus = this.panel.contains(document.activeElement);
    this.panel.setAttribute("aria-labelledby", `tab-${tab}`);
    this.panel.replaceChildren(inside);
    if (hadFocus) this.panel.focus();
  }

  #inside(/** @type {Tab} */ tab) {
    const { app } = this;
    const pane = app.active;
    if (!pane) return null;
    const { scene } = pane;
    switch (tab) {
      case "findings": {
        const list = findingsPanel(scene.trace, (i, finding) => app.openFinding(finding, i));
        if (app.panes.length > 1) list.prepend(this.#divergence());
        return list;
      }
      case "event":
        return eventPanel(scene, (i) => app.go(i));
      case "show":
        return showPanel(
          scene,
          () => pane.applyMask(),
          () => pane.refresh(),
        );
      default:
        return app.state?.root ?? null;
    }
  }

  /** Where the other timeline goes another way. */
  #divergence() {
    const { pair } = this.app;
    if (!pair.found || pair.found.here < 0) {
      const text = pair.found?.text ?? "As far as both were recorded, nothing differs.";
      return make("p", { class: "good", text });
    }
    return make("button", { type: "button", class: "divergence", click: () => this.app.goDivergence() }, [
      make("b", { text: "First divergence" }),
      ` ${pair.found.text}`,
    ]);
  }

  #onKey(/** @type {KeyboardEvent} */ event) {
    const all = /** @type {HTMLElement[]} */ ([...this.tabs.children]);
    const at = all.findIndex((each) => each.getAttribute("data-tab") === this.tab);
    const way = WAYS[event.key];
    if (!way) return;
    event.preventDefault();
    const next = all[(at + way + all.length) % all.length];
    next.focus();
    next.click();
  }
}
