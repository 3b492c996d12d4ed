/**
 * The page: panes of one or two timelines, panels beside them, search, and the keys.
 */

import { Container } from "./columns.js";
import { firstDivergence } from "./compare.js";
import { make, tool } from "./dom.js";
import { Finder } from "./finder.js";
import { helpDialog } from "./help.js";
import { Pane } from "./pane.js";
import { eventPanel } from "./panel_event.js";
import { findingsPanel } from "./panel_findings.js";
import { showPanel } from "./panel_show.js";
import { StatePanel } from "./panel_state.js";
import { commas, span } from "./scale.js";
import { dropped } from "./source.js";
import { cutAt } from "./states.js";
import { labelColours } from "./theme.js";
import { readTrace } from "./trace.js";
import { acrossLanes, alongLane, otherEnd } from "./walk.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {"findings" | "event" | "show" | "state"} Tab */

const STEPS_BACK = 50;
const TELLING_MS = 80;

export class App {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {Pane[]} */ this.panes = [];
    /** @type {Pane | null} */ this.active = null;
    /** @type {Tab} */ this.tab = "findings";
    /** @type {StatePanel | null} */ this.state = null;
    /** @type {[number, number][]} */ this.back = [];
    this.findingAt = -1;
    this.#build();
    this.#listen();
  }

  #build() {
    this.title = make("h1", {}, ["hydroscope"]);
    this.status = make("footer", { class: "status" });
    this.live = make("div", { class: "unseen", "aria-live": "polite" });
    this.stage = make("main", { class: "stage" });
    this.tabs = make("div", { class: "tabs", role: "tablist", "aria-label": "Panels" });
    this.panel = make("div", { class: "panel", role: "tabpanel", tabindex: "0" });
    this.aside = make("aside", {}, [this.tabs, this.panel]);
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
      make("div", { class: "middle" }, [this.stage, this.aside]),
      this.status,
      this.live,
      this.helper,
    );
  }

  /** Show a timeline: the first, or the one that it is compared with. @param {Trace} trace @param {string} name */
  add(trace, name) {
    if (this.panes.length === 2) this.panes.pop()?.remove();
    const listener = {
      onSelect: (/** @type {Pane} */ pane, /** @type {number} */ i, /** @type {boolean} */ isSecond) =>
        this.select(pane, i, isSecond),
      onView: (/** @type {Pane} */ pane) => this.#onView(pane),
      onFocus: (/** @type {Pane} */ pane) => this.focus(pane),
    };
    const pane = new Pane(trace, this.stage, listener, name || (this.panes.length ? "other" : "timeline"));
    this.panes.push(pane);
    if (this.panes.length === 1) {
      this.active = pane;
      this.title.replaceChildren("hydroscope", make("span", { text: trace.title, title: trace.title }));
      document.title = `${trace.title} – hydroscope`;
      if (trace.changes) this.state = new StatePanel(trace, (stamp) => this.#onStamp(stamp));
    } else {
      const { scene } = this.panes[0];
      pane.scene.colours = labelColours(trace, new Map(scene.trace.labels.map((text, k) => [text, scene.colours[k]])));
      this.#compare();
    }
    this.fillTabs();
    this.open(this.tab);
    this.tell();
  }

  /** Find where the two go different ways, and go there. */
  #compare() {
    const [one, two] = this.panes;
    const found = two.scene.trace.comparison ?? firstDivergence(one.scene.trace, two.scene.trace);
    this.divergence = found;
    one.scene.divergence = found?.here ?? -1;
    two.scene.divergence = found?.there ?? -1;
    if (!found || found.here < 0 || found.there < 0) return;
    for (const [pane, i] of /** @type {[Pane, number][]} */ ([
      [one, found.here],
      [two, found.there],
    ])) {
      const { view, trace } = pane.scene;
      const half = Math.min(view.high - view.low, two.scene.view.high - two.scene.view.low) / 2;
      view.show(trace.time[i] - half, trace.time[i] + half);
      pane.refresh();
    }
  }

  /** @param {Pane} pane */
  focus(pane) {
    if (this.active === pane) return;
    this.active = pane;
    for (const each of this.panes) each.root.classList.toggle("active", this.panes.length > 1 && each === pane);
    this.fillTabs();
    this.open(this.tab);
  }

  fillTabs() {
    const trace = this.active?.scene.trace;
    if (!trace) return;
    const n = trace.findings.length;
    /** @type {[Tab, string][]} */
    const all = [
      ["findings", n ? `Findings ${n}` : "Findings"],
      ["event", "Event"],
      ["show", "Show"],
    ];
    if (this.state) all.push(["state", "State"]);
    this.tabs.replaceChildren(
      ...all.map(([tab, text]) =>
        make("button", {
          type: "button",
          role: "tab",
          text,
          "data-tab": tab,
          "aria-selected": String(tab === this.tab),
          click: () => this.open(tab),
        }),
      ),
    );
  }

  /** Open a panel. @param {Tab} tab */
  open(tab) {
    this.tab = tab;
    for (const each of this.tabs.children)
      each.setAttribute("aria-selected", String(each.getAttribute("data-tab") === tab));
    const pane = this.active;
    if (!pane) return;
    const { scene } = pane;
    if (tab === "findings") {
      const found = this.divergence;
      const list = findingsPanel(scene.trace, (i, finding) => this.openFinding(finding, i));
      if (this.panes.length > 1)
        list.prepend(found && found.here >= 0 ? this.#divergenceButton(found) : alikeNote(found));
      this.panel.replaceChildren(list);
    } else if (tab === "event") {
      this.panel.replaceChildren(eventPanel(scene, (i) => this.go(i)));
    } else if (tab === "show") {
      this.panel.replaceChildren(
        showPanel(
          scene,
          () => this.masked(pane),
          () => pane.refresh(),
        ),
      );
    } else if (this.state) this.panel.replaceChildren(this.state.root);
  }

  #divergenceButton(/** @type {import("./compare.js").Divergence} */ found) {
    return make("button", { type: "button", class: "divergence", click: () => this.goDivergence() }, [
      make("b", { text: "First divergence" }),
      ` ${found.text}`,
    ]);
  }

  /** Draw what is hidden and found now. @param {Pane} pane */
  masked(pane) {
    pane.scene.applyMask();
    pane.refresh();
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
    if (this.tab !== "state" && i >= 0) this.tab = "event";
    this.open(this.tab);
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

  /**
   * Show a finding: its records and what can have caused the chosen one.
   * @param {import("./trace.js").Finding} finding
   * @param {number} i
   */
  openFinding(finding, i) {
    const pane = this.active;
    if (!pane) return;
    const { trace, view, layout } = pane.scene;
    this.#remember(pane);
    const other = trace.partner[i] >= 0 ? trace.partner[i] : i;
    const places = [...finding.records, other].map((each) => trace.time[each]);
    const near = places.filter((time) => Math.abs(time - trace.time[i]) < (view.high - view.low) / 50);
    const [from, to] = [Math.min(...near), Math.max(...near)];
    const around = Math.max((to - from) * 0.5, this.#spacing(pane, i) * 12);
    pane.scene.select(i);
    const node = trace.node[i];
    if (layout.closed.has(node)) layout.setOpen(node, true);
    pane.show(from - around, to + around);
    pane.scrollTo(i);
    this.findingAt = trace.findings.indexOf(finding);
    this.live.textContent = finding.text;
    this.tell();
  }

  /** How far apart records are around one, of all nodes. */
  #spacing(/** @type {Pane} */ pane, /** @type {number} */ i) {
    const { trace } = pane.scene;
    const rank = trace.rank[i];
    const [low, high] = [Math.max(rank - 20, 0), Math.min(rank + 20, trace.n - 1)];
    return Math.max((trace.time[trace.byRank[high]] - trace.time[trace.byRank[low]]) / Math.max(high - low, 1), 10);
  }

  goDivergence() {
    const found = this.divergence;
    if (!found || found.here < 0 || found.there < 0) return;
    this.panes.forEach((pane, k) => {
      const i = k ? found.there : found.here;
      const half = this.#spacing(pane, i) * 20;
      pane.scene.select(i);
      pane.show(pane.scene.trace.time[i] - half, pane.scene.trace.time[i] + half);
      pane.scrollTo(i);
    });
  }

  /** @param {number} way */
  goFinding(way) {
    const findings = this.active?.scene.trace.findings.filter((each) => each.records.length) ?? [];
    if (!findings.length) return;
    this.findingAt = (this.findingAt + way + findings.length) % findings.length;
    this.openFinding(findings[this.findingAt], findings[this.findingAt].records[0]);
  }

  /** The state's moment was moved: the timeline goes along. */
  #onStamp(/** @type {bigint} */ stamp) {
    const pane = this.panes[0];
    const { scene } = pane;
    scene.cut = cutAt(scene.trace, stamp);
    const times = [...scene.cut.keys()]
      .filter((node) => /** @type {Int32Array} */ (scene.cut)[node] > scene.trace.starts[node])
      .map((node) => scene.trace.time[/** @type {Int32Array} */ (scene.cut)[node] - 1]);
    const at = times.length ? Math.max(...times) : scene.view.from;
    if (at < scene.view.from || at > scene.view.to) pane.show(at - scene.view.span / 2, at + scene.view.span / 2);
    pane.touch();
  }

  /** Panes look at stretches of the same length. */
  #onView(/** @type {Pane} */ pane) {
    if (this.panes.length > 1) {
      const other = this.panes.find((each) => each !== pane);
      const shift = this.#shift(pane, other);
      if (other) {
        other.scene.view.show(pane.scene.view.from + shift, pane.scene.view.to + shift);
        other.refresh();
      }
    }
    this.tell();
  }

  /** From the time of one pane to that of the other: divergences are one above the other, else the beginnings. */
  #shift(/** @type {Pane} */ pane, /** @type {Pane | undefined} */ other) {
    if (!other) return 0;
    const [a, b] = [pane.scene, other.scene];
    if (a.divergence >= 0 && b.divergence >= 0) return b.trace.time[b.divergence] - a.trace.time[a.divergence];
    return b.trace.begin - a.trace.begin;
  }

  #remember(/** @type {Pane} */ pane) {
    this.back.push([pane.scene.view.from, pane.scene.view.to]);
    if (this.back.length > STEPS_BACK) this.back.shift();
  }

  fitAll() {
    const pane = this.active;
    if (!pane) return;
    this.#remember(pane);
    pane.show(pane.scene.view.low, pane.scene.view.high);
  }

  /** What is in view, in the line at the foot. */
  tell() {
    const pane = this.active;
    if (!pane || this.telling) return;
    this.telling = window.setTimeout(() => {
      this.telling = undefined;
      const { trace, view, marked, cone } = pane.scene;
      const [first, last] = pane.scene.all().range(view.from, view.to);
      const parts = [`${span(view.span)} in view`, `${commas(last - first)} of ${commas(trace.n)} records`];
      if (pane.drawn.share > 1) parts.push(`1 in ${commas(pane.drawn.share)} message arrows drawn`);
      if (marked >= 0) parts.push("marked: select another record to measure");
      if (cone) parts.push("blue: can have caused it · orange: can be its effect");
      this.status.textContent = parts.join("  ·  ");
    }, TELLING_MS);
  }

  flipTheme() {
    const root = document.documentElement;
    const asSystem = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const isDark = (root.dataset.theme ?? asSystem) === "dark";
    root.dataset.theme = isDark ? "light" : "dark";
    for (const pane of this.panes) pane.recolour();
    if (this.tab === "show") this.open("show");
  }

  help() {
    if (!this.helper.open) this.helper.showModal();
  }

  #listen() {
    document.addEventListener("keydown", (event) => this.#onKey(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.panes.forEach((pane) => pane.recolour()),
    );
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
    this.status.textContent = `Reading ${file.name} …`;
    try {
      this.add(await readTrace(new Container(await dropped(file).bytes())), file.name);
    } catch (error) {
      this.status.textContent = /** @type {Error} */ (error).message;
    }
  }

  #onKey(/** @type {KeyboardEvent} */ event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || this.helper.open) return;
    if (target instanceof HTMLInputElement && target.type !== "checkbox") return;
    const pane = this.active;
    if (!pane) return;
    const does = this.#keys(pane)[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** @param {Pane} pane @returns {Record<string, () => void>} */
  #keys(pane) {
    const { scene } = pane;
    const step = scene.view.width / 6;
    return {
      w: () => pane.zoom(0.7),
      s: () => pane.zoom(1 / 0.7),
      "+": () => pane.zoom(0.7),
      "-": () => pane.zoom(1 / 0.7),
      a: () => pane.pan(-step),
      d: () => pane.pan(step),
      W: () => pane.zoom(0.35),
      S: () => pane.zoom(1 / 0.35),
      A: () => pane.pan(-4 * step),
      D: () => pane.pan(4 * step),
      0: () => this.fitAll(),
      f: () => this.#fit(pane),
      Backspace: () => this.#goBack(pane),
      ArrowLeft: () => this.go(alongLane(scene, -1)),
      ArrowRight: () => this.go(alongLane(scene, 1)),
      ArrowUp: () => this.go(acrossLanes(scene, -1)),
      ArrowDown: () => this.go(acrossLanes(scene, 1)),
      p: () => this.go(otherEnd(scene)),
      m: () => this.#mark(pane),
      Escape: () => this.#drop(pane),
      "/": () => this.finder.search.select(),
      n: () => this.finder.go(1),
      N: () => this.finder.go(-1),
      j: () => this.goFinding(1),
      k: () => this.goFinding(-1),
      e: () => this.#openAll(pane, true),
      c: () => this.#openAll(pane, false),
      ",": () => this.state?.step(-1),
      ".": () => this.state?.step(1),
      t: () => this.flipTheme(),
      "?": () => this.help(),
      1: () => this.open("findings"),
      2: () => this.open("event"),
      3: () => this.open("show"),
      4: () => this.open(this.state ? "state" : this.tab),
    };
  }

  #fit(/** @type {Pane} */ pane) {
    const i = pane.scene.selected;
    if (i < 0) return;
    this.#remember(pane);
    const { trace } = pane.scene;
    const other = otherEnd(pane.scene);
    const [from, to] = [trace.time[i], trace.time[other >= 0 ? other : i]].sort((a, b) => a - b);
    const around = Math.max((to - from) * 0.5, this.#spacing(pane, i) * 4);
    pane.show(from - around, to + around);
  }

  #goBack(/** @type {Pane} */ pane) {
    const view = this.back.pop();
    if (view) pane.show(...view);
  }

  #mark(/** @type {Pane} */ pane) {
    const { scene } = pane;
    scene.marked = scene.marked === scene.selected ? -1 : scene.selected;
    pane.touch();
    this.open(this.tab);
    this.tell();
  }

  #drop(/** @type {Pane} */ pane) {
    pane.scene.marked = -1;
    pane.scene.cut = null;
    this.select(pane, -1);
  }

  #openAll(/** @type {Pane} */ pane, /** @type {boolean} */ isOpen) {
    const { layout, trace } = pane.scene;
    layout.closed = new Set(isOpen ? [] : trace.nodes.keys());
    layout.update();
    pane.refresh();
  }
}

/** @param {import("./compare.js").Divergence | null} found */
function alikeNote(found) {
  return make("p", { class: "good", text: found?.text ?? "As far as both were recorded, nothing differs." });
}
