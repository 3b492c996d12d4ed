/**
 * The page: panes of one or two timelines, panels beside them, search, and the keys.
 */

import { Container } from "./columns.js";
import { make, tool } from "./dom.js";
import { Finder } from "./finder.js";
import { helpDialog } from "./help.js";
import { DOES } from "./keys.js";
import { Pair } from "./pair.js";
import { Pane } from "./pane.js";
import { Panels } from "./panels.js";
import { StatePanel } from "./panel_state.js";
import { commas, span } from "./scale.js";
import { decoded, dropped } from "./source.js";
import { cutAt } from "./states.js";
import { readTrace } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */

const TELLING_MS = 80;

export class App {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {Pane[]} */ this.panes = [];
    /** @type {Pane | null} */ this.active = null;
    this.pair = new Pair();
    /** @type {StatePanel | null} */ this.state = null;
    this.findingAt = -1;
    this.#build();
    this.#listen();
  }

  #build() {
    this.title = make("h1", {}, ["hydroscope"]);
    this.status = make("footer", { class: "status" });
    this.live = make("div", { class: "unseen", "aria-live": "polite" });
    this.stage = make("main", { class: "stage" });
    this.panels = new Panels(this);
    this.helper = helpDialog(() => this.active?.canvas.focus());
    this.finder = new Finder(this);
    this.place.replaceChildren(
      make("header", { class: "bar" }, [
        this.title,
        this.finder.root,
        make("div", { class: "tools" }, [
          tool("All", "Show all time", () => this.fitAll(), "0"),
          tool("◐", "Light or dark", () => this.flipTheme(), "t"),
          tool("?", "Help", () => this.help(), "?"),
        ]),
      ]),
      make("div", { class: "middle" }, [this.stage, this.panels.root]),
      this.status,
      this.live,
      this.helper,
    );
  }

  /** Show a timeline: the first, or the one that it is compared with. @param {Trace} trace @param {string} [name] */
  add(trace, name = this.panes.length ? "other" : "timeline") {
    if (this.panes.length === 2) this.panes.pop()?.remove();
    const pane = new Pane(trace, this.stage, name, {
      onSelect: (/** @type {Pane} */ its, /** @type {number} */ i, /** @type {boolean} */ isSecond) =>
        this.#onSelect(its, i, isSecond),
      onView: (/** @type {Pane} */ its) => {
        this.say("");
        this.pair.follow(its);
        this.tell();
      },
      onFocus: (/** @type {Pane} */ its) => this.focus(its),
    });
    this.panes.push(pane);
    if (this.panes.length === 1) {
      this.title.replaceChildren("hydroscope", make("span", { text: trace.title, title: trace.title }));
      document.title = `${trace.title} – hydroscope`;
      if (trace.changes) this.state = new StatePanel(trace, (stamp) => this.#onStamp(stamp));
    } else this.pair.join(this.panes[0], pane);
    this.focus(this.panes[0], true);
    if (this.finder.search.value) this.finder.run();
    this.tell();
  }

  /** Look at a pane: keys and panels are of it. @param {Pane} pane */
  focus(pane, isNew = false) {
    if (this.active === pane && !isNew) return;
    this.active = pane;
    for (const each of this.panes) each.root.classList.toggle("active", this.panes.length > 1 && each === pane);
    this.findingAt = -1;
    this.finder.at = -1;
    this.finder.tell();
    this.panels.fill();
    this.tell();
  }

  #onSelect(/** @type {Pane} */ pane, /** @type {number} */ i, /** @type {boolean} */ isSecond) {
    this.say("");
    this.select(pane, i, isSecond);
  }

  /** @param {Pane} pane @param {number} i @param {boolean} isSecond Measure from the one before to this one. */
  select(pane, i, isSecond = false) {
    const { scene } = pane;
    if (isSecond && i >= 0 && scene.selected >= 0) scene.marked = scene.marked >= 0 ? scene.marked : scene.selected;
    scene.select(i);
    if (i >= 0) {
      this.live.textContent = `${scene.trace.nodes[scene.trace.node[i]].name} ${scene.trace.told(i)}`;
      if (this.state && pane === this.panes[0]) {
        this.state.show(scene.trace.stampOf(i));
        if (scene.cut) scene.cut = cutAt(scene.trace, this.state.states.stampHere());
      }
    }
    const { tab } = this.panels;
    this.panels.open(tab !== "state" && i >= 0 ? "event" : tab);
    pane.refresh();
    this.tell();
  }

  /** Select a record and have it in view. @param {number} i */
  go(i) {
    const pane = this.active;
    if (!pane || i < 0) return;
    this.select(pane, i);
    pane.reveal(i);
  }

  /** Mark the selected record, to measure from it; once more, no longer. @param {Pane} pane */
  mark(pane) {
    const { scene } = pane;
    scene.marked = scene.marked === scene.selected ? -1 : scene.selected;
    pane.touch();
    this.panels.open(this.panels.tab);
    this.tell();
  }

  /** Select nothing, mark nothing, look at no state. @param {Pane} pane */
  clear(pane) {
    pane.scene.marked = -1;
    pane.scene.cut = null;
    this.select(pane, -1);
  }

  /**
   * Show a finding: its records and what can have caused the chosen one.
   * @param {import("./trace.js").Finding} finding
   * @param {number} i
   */
  openFinding(finding, i) {
    const pane = this.active;
    if (!pane) return;
    const { trace, view, layout } = pane.scene;
    const other = trace.partner[i] >= 0 ? trace.partner[i] : i;
    const places = [...finding.records, other].map((each) => trace.time[each]);
    const near = places.filter((time) => Math.abs(time - trace.time[i]) < (view.high - view.low) / 50);
    const [from, to] = [Math.min(...near), Math.max(...near)];
    const around = Math.max((to - from) * 0.5, pane.spacing(i) * 12);
    pane.scene.select(i);
    const node = trace.node[i];
    if (layout.closed.has(node)) layout.setOpen(node, true);
    pane.jump(from - around, to + around);
    pane.scrollTo(i);
    this.findingAt = this.#findings().indexOf(finding);
    this.live.textContent = finding.text;
    this.tell();
  }

  /** Findings that can be gone to. */
  #findings() {
    return this.active?.scene.trace.findings.filter((each) => each.records.length) ?? [];
  }

  /** @param {number} way */
  goFinding(way) {
    const findings = this.#findings();
    if (!findings.length) return;
    const at = this.findingAt < 0 && way < 0 ? 0 : this.findingAt;
    const finding = findings[(at + way + findings.length) % findings.length];
    this.openFinding(finding, finding.records[0]);
  }

  goDivergence() {
    this.pair.go();
    if (this.panels.tab === "event") this.panels.open("event");
  }

  /** The state's moment was moved: the timeline goes along. */
  #onStamp(/** @type {bigint} */ stamp) {
    const pane = this.panes[0];
    const { scene } = pane;
    const cut = cutAt(scene.trace, stamp);
    scene.cut = cut;
    const { starts, time } = scene.trace;
    const times = [...cut.keys()].filter((node) => cut[node] > starts[node]).map((node) => time[cut[node] - 1]);
    const at = times.length ? Math.max(...times) : scene.view.from;
    if (at < scene.view.from || at > scene.view.to) pane.show(at - scene.view.span / 2, at + scene.view.span / 2);
    pane.touch();
  }

  fitAll() {
    const view = this.active?.scene.view;
    if (view) this.active?.jump(view.low, view.high);
  }

  /** What is in view, in the line at the foot. */
  tell() {
    const pane = this.active;
    if (!pane || this.telling) return;
    this.telling = window.setTimeout(() => {
      this.telling = undefined;
      if (this.said) return;
      const { trace, view, marked, cone } = pane.scene;
      const [first, last] = pane.scene.all().range(view.from, view.to);
      const parts = [`${commas(last - first)} of ${commas(trace.n)} records`];
      if (trace.n) parts.unshift(`${span(view.span)} in view`);
      if (pane.drawn.share > 1) parts.push(`1 in ${commas(pane.drawn.share)} message arrows drawn`);
      if (marked >= 0) parts.push("marked: select another record to measure");
      if (cone) parts.push("blue: can have caused it · orange: can be its effect");
      this.status.textContent = parts.join("  ·  ");
    }, TELLING_MS);
  }

  /** Say something in the line at the foot, until something else is done; "": no longer. @param {string} message */
  say(message, isWrong = false) {
    if (!message && !this.said) return;
    this.said = message;
    this.status.classList.toggle("wrong", isWrong);
    if (message) this.status.textContent = message;
    else this.tell();
    if (isWrong) this.live.textContent = message;
  }

  flipTheme() {
    const root = document.documentElement;
    const asSystem = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme ?? asSystem) === "dark" ? "light" : "dark";
    this.#recolour();
  }

  #recolour() {
    for (const pane of this.panes) pane.recolour();
    if (this.panels.tab === "show") this.panels.open("show");
  }

  help() {
    if (!this.helper.open) this.helper.showModal();
  }

  #listen() {
    document.addEventListener("keydown", (event) => this.#onKey(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.place.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.place.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.place.classList.remove("dropping");
      const file = event.dataTransfer?.files[0];
      if (file) this.compareWith(file);
    });
  }

  /** @param {File} file A page like this one. */
  async compareWith(file) {
    this.say(`Reading ${file.name} …`);
    try {
      this.add(await readTrace(new Container(decoded(await dropped(file)))), file.name);
      this.say("");
    } catch (error) {
      this.say(/** @type {Error} */ (error).message, true);
    }
  }

  #onKey(/** @type {KeyboardEvent} */ event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.helper.open) return;
    if (target instanceof HTMLInputElement && target.type !== "checkbox") return;
    if (event.key.startsWith("Arrow") && this.panels.root.contains(target)) return; // they scroll it
    const does = DOES.get(event.key);
    if (!does || !this.active) return;
    event.preventDefault();
    this.say("");
    does(this, this.active);
  }
}
