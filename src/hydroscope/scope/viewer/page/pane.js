/**
 * One timeline on the page: strips, names and lanes, and what of it is in view.
 */

import { make, sized } from "./dom.js";
import { draw } from "./draw.js";
import { fillGutter } from "./gutter.js";
import { drawOverlay, isOverlayEmpty } from "./overlay.js";
import { Pointer } from "./pointer.js";
import { clockTime, commas } from "./scale.js";
import { Scene } from "./scene.js";
import { drawAll, drawRuler, drawWindow } from "./strips.js";
import { palette } from "./theme.js";

/** @typedef {import("./trace.js").Trace} Trace */
/**
 * @typedef {object} Listener
 * @property {(pane: Pane, record: number, isSecond: boolean) => void} onSelect
 * @property {(pane: Pane) => void} onView
 * @property {(pane: Pane) => void} onFocus
 */

const RULER = 24;
const OVERVIEW = 52;
const FLIGHT_MS = 220;
const STEPS_BACK = 50;

export class Pane {
  /** @param {Trace} trace @param {HTMLElement} place @param {string} name @param {Listener} listener */
  constructor(trace, place, name, listener) {
    this.scene = new Scene(trace);
    this.listener = listener;
    /** What the last frame drew. @type {{share: number, arrows: import("./arrows.js").Arrow[]}} */
    this.drawn = { share: 1, arrows: [] };
    /** Time spent drawing each frame, ms. @type {number[]} */ this.frames = [];
    /** What was in view before each jump. @type {[number, number][]} */ this.before = [];
    this.#build(place, name);
    this.pointer = new Pointer(this);
    this.body.addEventListener("scroll", () => this.#ask("main"));
    this.canvas.addEventListener("focus", () => this.listener.onFocus(this));
    this.root.addEventListener("pointerdown", () => this.listener.onFocus(this));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.body);
    this.recolour();
  }

  #build(/** @type {HTMLElement} */ place, /** @type {string} */ name) {
    const { trace } = this.scene;
    this.overview = make("canvas", { class: "overview", "aria-hidden": "true" });
    this.ruler = make("canvas", { class: "ruler", "aria-hidden": "true" });
    this.moment = make("div", { class: "moment", title: "Time of day at the left edge, by the reference's clock" });
    this.about = make("div", { class: "about", title: trace.title, text: name });
    this.gutter = make("div", { class: "gutter" });
    this.canvas = make("canvas", {
      class: "lanes",
      tabindex: "0",
      role: "application",
      "aria-label":
        `Timeline of ${trace.title}: ${commas(trace.n)} records of ${commas(trace.nodes.length)} nodes. ` +
        "? tells the keys.",
    });
    this.over = make("canvas", { class: "over", "aria-hidden": "true" });
    this.tip = make("div", { class: "tip", role: "tooltip", hidden: true });
    this.spacer = make("div", { class: "spacer" });
    this.plot = make("div", { class: "plot" }, [this.canvas, this.over, this.tip]);
    this.body = make("div", { class: "body" }, [
      make("div", { class: "sticky" }, [this.gutter, this.plot]),
      this.spacer,
    ]);
    this.root = make("section", { class: "pane", "aria-label": name }, [
      make("div", { class: "strip" }, [this.about, this.overview]),
      make("div", { class: "strip" }, [this.moment, this.ruler]),
      this.body,
    ]);
    place.append(this.root);
  }

  /** Take the colours of the page, after they have changed. */
  recolour() {
    const { scene } = this;
    scene.colour = palette(this.root);
    const tile = make("canvas", { width: "8", height: "8" });
    const ctx = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
    ctx.strokeStyle = scene.colour.hatch;
    ctx.beginPath();
    for (const k of [-4, 0, 4, 8]) {
      ctx.moveTo(k, 8);
      ctx.lineTo(k + 8, 0);
    }
    ctx.stroke();
    scene.hatching = ctx.createPattern(tile, "repeat");
    this.refresh();
  }

  resize() {
    const { scene } = this;
    const width = this.plot.clientWidth;
    if (!width) return;
    scene.view.width = width;
    scene.height = this.body.clientHeight;
    this.root.style.setProperty("--scrollbar", `${this.body.offsetWidth - this.body.clientWidth}px`);
    this.refresh();
  }

  /** Draw all of it, with the next frame; after lanes or masks have changed. */
  refresh() {
    this.allDrawn = "";
    this.#ask("main");
  }

  /** Draw what is above the lanes, with the next frame. */
  touch() {
    this.#ask("over");
  }

  #ask(/** @type {"main" | "over"} */ what) {
    this.wanted = this.wanted === "main" ? "main" : what;
    this.request ??= requestAnimationFrame(() => {
      this.request = undefined;
      this.frame();
    });
  }

  /** Draw now. */
  frame() {
    const { scene } = this;
    const begun = performance.now();
    const isMain = this.wanted === "main";
    this.wanted = undefined;
    if (!scene.height) return;
    if (isMain) {
      this.#stretch();
      scene.scrollY = this.body.scrollTop;
      this.drawn = draw(sized(this.canvas, scene.view.width, scene.height, false), scene);
      fillGutter(this.gutter, scene, (node) => this.toggle(node));
      this.#drawOverview();
      const digits = scene.view.span > 1e10 ? 3 : scene.view.span > 1e6 ? 6 : 9;
      this.moment.textContent = scene.trace.n ? clockTime(scene.trace.t0, scene.view.from, digits) : "";
    }
    drawRuler(sized(this.ruler, scene.view.width, RULER), scene, RULER, this.pointer.x);
    const isBare = isOverlayEmpty(scene, this.pointer);
    if (!(isBare && this.isBare)) drawOverlay(sized(this.over, scene.view.width, scene.height), scene, this.pointer);
    this.isBare = isBare;
    this.frames.push(performance.now() - begun);
    if (this.frames.length > 2000) this.frames.splice(0, 1000);
  }

  /** The picture of all time is kept until it changes. */
  #drawOverview() {
    const { scene } = this;
    const { width } = scene.view;
    const key = `${scene.version} ${width} ${scene.colour.bg} ${window.devicePixelRatio}`;
    this.all ??= make("canvas");
    if (this.allDrawn !== key) {
      drawAll(sized(this.all, width, OVERVIEW), scene, OVERVIEW);
      this.allDrawn = key;
    }
    const ctx = sized(this.overview, width, OVERVIEW);
    ctx.clearRect(0, 0, width, OVERVIEW);
    ctx.drawImage(this.all, 0, 0, width, OVERVIEW);
    drawWindow(ctx, scene, OVERVIEW);
  }

  /** Open or close a node. @param {number} node */
  toggle(node) {
    this.scene.layout.setOpen(node, this.scene.layout.closed.has(node));
    this.refresh();
  }

  /** Go to a stretch of time. @param {number} from @param {number} to */
  show(from, to, isSlow = true) {
    const { view } = this.scene;
    cancelAnimationFrame(this.flight ?? 0);
    if (!isSlow || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      view.show(from, to);
      this.moved();
      return;
    }
    const begun = performance.now();
    const [from0, span0] = [view.from, view.span];
    const span1 = Math.max(to - from, 50);
    const fly = () => {
      const share = Math.min((performance.now() - begun) / FLIGHT_MS, 1);
      const eased = 1 - (1 - share) ** 3;
      const span = span0 * (span1 / span0) ** eased;
      const place = Math.abs(span1 - span0) < 1 ? eased : (span0 - span) / (span0 - span1);
      const left = from0 + (from - from0) * place;
      view.show(left, left + span);
      this.moved();
      if (share < 1) this.flight = requestAnimationFrame(fly);
    };
    fly();
  }

  /** Go to a stretch of time from which `goBack` comes back. @param {number} from @param {number} to */
  jump(from, to) {
    const { view } = this.scene;
    this.remember(view.from, view.to);
    this.show(from, to);
  }

  /** Have a view to come back to. @param {number} from @param {number} to */
  remember(from, to) {
    this.before.push([from, to]);
    if (this.before.length > STEPS_BACK) this.before.shift();
  }

  goBack() {
    const view = this.before.pop();
    if (view) this.show(...view);
  }

  /** Have the selected record in view, with its neighbours and its other end. @param {number} other Record; -1: none. */
  fit(other) {
    const { trace, selected } = this.scene;
    if (selected < 0) return;
    const [from, to] = [trace.time[selected], trace.time[other >= 0 ? other : selected]].sort((a, b) => a - b);
    const around = Math.max((to - from) * 0.5, this.spacing(selected) * 4);
    this.jump(from - around, to + around);
  }

  /** How far apart records are around one, of all nodes. @param {number} i */
  spacing(i) {
    const { trace } = this.scene;
    const rank = trace.rank[i];
    const [low, high] = [Math.max(rank - 20, 0), Math.min(rank + 20, trace.n - 1)];
    return Math.max((trace.time[trace.byRank[high]] - trace.time[trace.byRank[low]]) / Math.max(high - low, 1), 10);
  }

  /** Draw what is hidden and found now. */
  applyMask() {
    this.scene.applyMask();
    this.refresh();
  }

  /** Open or close all nodes. @param {boolean} isOpen */
  openAll(isOpen) {
    const { layout, trace } = this.scene;
    layout.closed = new Set(isOpen ? [] : trace.nodes.keys());
    layout.update();
    this.refresh();
  }

  /** @param {number} factor @param {number} [x] */
  zoom(factor, x = this.pointer.x >= 0 ? this.pointer.x : this.scene.view.width / 2) {
    this.scene.view.zoom(factor, x);
    this.moved();
  }

  /** @param {number} pixels */
  pan(pixels) {
    this.scene.view.pan(pixels);
    this.moved();
  }

  /** The view was moved. */
  moved() {
    this.pointer.unpoint();
    this.#ask("main");
    this.listener.onView(this);
  }

  /** Have a record in view. @param {number} i */
  reveal(i) {
    const { view, trace } = this.scene;
    const time = trace.time[i];
    if (time < view.from + view.span * 0.05 || time > view.to - view.span * 0.05) {
      this.jump(time - view.span / 2, time + view.span / 2);
    }
    this.scrollTo(i);
  }

  /** Have the lane of a record in view. @param {number} i */
  scrollTo(i) {
    const { layout, height } = this.scene;
    const { scrollTop } = this.body;
    const y = layout.yOf(i);
    if (y >= scrollTop + 20 && y <= scrollTop + height - 30) return;
    this.#stretch();
    this.body.scrollTop = y - height / 2;
  }

  /** There is as much to scroll through as there are lanes. */
  #stretch() {
    const { layout, height } = this.scene;
    this.spacer.style.height = `${Math.max(layout.height - height, 0)}px`;
  }

  /** Take it off the page. */
  remove() {
    cancelAnimationFrame(this.flight ?? 0);
    cancelAnimationFrame(this.request ?? 0);
    this.observer.disconnect();
    this.root.remove();
  }
}
