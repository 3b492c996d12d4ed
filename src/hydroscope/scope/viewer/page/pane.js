/**
 * One timeline on the page: strips, names and lanes, and what the pointer does with them.
 */

import { make, sized } from "./dom.js";
import { draw } from "./draw.js";
import { fillGutter } from "./gutter.js";
import { pick } from "./pick.js";
import { drawOverlay, isOverlayEmpty } from "./overlay.js";
import { clockTime, commas, span } from "./scale.js";
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
const CLICK = 4;
const FLIGHT_MS = 220;
const STEPS_BACK = 50;

export class Pane {
  /** @param {Trace} trace @param {HTMLElement} place @param {string} name @param {Listener} listener */
  constructor(trace, place, name, listener) {
    this.scene = new Scene(trace);
    this.listener = listener;
    this.pointer = { x: -1, record: -1, box: /** @type {[number, number] | null} */ (null) };
    /** What the last frame drew. @type {{share: number, arrows: import("./arrows.js").Arrow[]}} */
    this.drawn = { share: 1, arrows: [] };
    /** Time spent drawing each frame, ms. @type {number[]} */ this.frames = [];
    /** What was in view before each jump. @type {[number, number][]} */ this.before = [];
    this.#build(place, name);
    this.#listen();
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
      this.#moved();
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
      this.#moved();
      if (share < 1) this.flight = requestAnimationFrame(fly);
    };
    fly();
  }

  /** Go to a stretch of time from which `goBack` comes back. @param {number} from @param {number} to */
  jump(from, to) {
    const { view } = this.scene;
    this.#remember(view.from, view.to);
    this.show(from, to);
  }

  #remember(/** @type {number} */ from, /** @type {number} */ to) {
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
    this.#moved();
  }

  /** @param {number} pixels */
  pan(pixels) {
    this.scene.view.pan(pixels);
    this.#moved();
  }

  #moved() {
    this.#unpoint();
    this.#ask("main");
    this.listener.onView(this);
  }

  /** Point at no record: what is below the pointer is another by now. */
  #unpoint() {
    this.pointer.record = -1;
    this.tip.hidden = true;
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

  #listen() {
    const { canvas } = this;
    this.body.addEventListener("scroll", () => this.#ask("main"));
    this.plot.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    for (const strip of [this.overview, this.ruler]) {
      strip.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    }
    this.plot.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.plot.addEventListener("pointermove", (event) => this.#onHover(event));
    this.plot.addEventListener("pointerleave", () => {
      this.pointer.x = -1;
      this.#unpoint();
      this.touch();
    });
    this.plot.addEventListener("dblclick", (event) => this.#onDouble(event));
    this.overview.addEventListener("pointerdown", (event) => this.#onOverview(event));
    canvas.addEventListener("focus", () => this.listener.onFocus(this));
    this.root.addEventListener("pointerdown", () => this.listener.onFocus(this));
  }

  #onWheel(/** @type {WheelEvent} */ event) {
    if (event.shiftKey && !event.ctrlKey) {
      event.preventDefault();
      this.body.scrollTop += event.deltaY || event.deltaX;
      return;
    }
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX);
    else this.zoom(1.0018 ** (event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY), event.offsetX);
  }

  #onDown(/** @type {PointerEvent} */ event) {
    if (event.button !== 0) return;
    const start = { x: event.offsetX, clientX: event.clientX, clientY: event.clientY, from: this.scene.view.from };
    const scrolled = this.body.scrollTop;
    const isBox = event.altKey || event.ctrlKey || event.metaKey;
    let isDrag = false;
    this.plot.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ at) => {
      const by = at.clientX - start.clientX;
      if (!isDrag && Math.hypot(by, at.clientY - start.clientY) < CLICK) return;
      isDrag = true;
      if (isBox) {
        this.pointer.box = [start.x, start.x + by];
        this.touch();
        return;
      }
      const { view } = this.scene;
      const from = start.from - by * view.pixel;
      this.plot.classList.add("dragged");
      this.body.scrollTop = scrolled - (at.clientY - start.clientY);
      view.show(from, from + view.span);
      this.#moved();
    };
    const up = (/** @type {PointerEvent} */ last) => {
      this.plot.removeEventListener("pointermove", move);
      this.plot.removeEventListener("pointerup", up);
      this.plot.removeEventListener("pointercancel", up);
      this.plot.classList.remove("dragged");
      const { box } = this.pointer;
      this.pointer.box = null;
      if (box && isDrag) {
        const { view } = this.scene;
        this.jump(view.time(Math.min(...box)), view.time(Math.max(...box)));
      } else if (!isDrag && last.type === "pointerup") {
        this.canvas.focus({ preventScroll: true });
        const hit = pick(this.scene, this.drawn.arrows, event.offsetX, event.offsetY + this.scene.scrollY);
        this.listener.onSelect(this, hit, event.shiftKey);
      }
    };
    this.plot.addEventListener("pointermove", move);
    this.plot.addEventListener("pointerup", up);
    this.plot.addEventListener("pointercancel", up);
  }

  #onHover(/** @type {PointerEvent} */ event) {
    const { scene, pointer } = this;
    pointer.x = event.offsetX;
    const i = event.buttons ? -1 : pick(scene, this.drawn.arrows, event.offsetX, event.offsetY + scene.scrollY);
    if (i !== pointer.record) {
      pointer.record = i;
      this.tip.hidden = i < 0;
      if (i >= 0) this.tip.replaceChildren(...this.#tipOf(i));
    }
    if (i >= 0) {
      const width = this.tip.offsetWidth;
      const isLeft = event.offsetX + width + 24 > scene.view.width;
      this.tip.style.left = `${Math.max(isLeft ? event.offsetX - width - 12 : event.offsetX + 14, 2)}px`;
      this.tip.style.top = `${Math.max(Math.min(event.offsetY + 16, scene.height - this.tip.offsetHeight - 4), 2)}px`;
    }
    this.touch();
  }

  #tipOf(/** @type {number} */ i) {
    const { trace } = this.scene;
    const lines = [make("b", { text: trace.told(i) })];
    const partner = trace.partner[i];
    if (partner >= 0) {
      const took = Math.abs(trace.time[i] - trace.time[partner]);
      const error = trace.node[i] === trace.node[partner] ? "" : ` ±${span(trace.error(i) + trace.error(partner))}`;
      lines.push(make("span", { text: `took ${span(took)}${error}` }));
    } else if (trace.ended[i] >= 0) {
      lines.push(make("span", { text: `took ${span(trace.time[trace.ended[i]] - trace.time[i])}` }));
    }
    const since = `${span(trace.time[i] - trace.begin)} since the first record`;
    lines.push(make("span", { text: `${trace.nodes[trace.node[i]].name} · ${since}` }));
    return lines;
  }

  #onDouble(/** @type {MouseEvent} */ event) {
    const { scene } = this;
    const i = pick(scene, [], event.offsetX, event.offsetY + scene.scrollY);
    const end = i >= 0 ? scene.trace.ended[i] : -1;
    if (end >= 0) {
      const [from, to] = [scene.trace.time[i], scene.trace.time[end]];
      this.jump(from - (to - from) * 0.2, to + (to - from) * 0.2);
    } else {
      const { view } = scene;
      const at = view.time(event.offsetX);
      this.jump(at - (at - view.from) / 5, at + (view.to - at) / 5);
    }
  }

  #onOverview(/** @type {PointerEvent} */ event) {
    const { view } = this.scene;
    const { from, to } = view;
    this.overview.setPointerCapture(event.pointerId);
    const timeAt = (/** @type {PointerEvent} */ at) => view.low + (at.offsetX / view.width) * (view.high - view.low);
    const begun = timeAt(event);
    const isInside = begun >= view.from && begun <= view.to && view.span < (view.high - view.low) * 0.95;
    const grip = begun - view.from;
    const move = (/** @type {PointerEvent} */ at) => {
      const time = timeAt(at);
      if (isInside) view.show(time - grip, time - grip + view.span);
      else if (Math.abs(at.offsetX - event.offsetX) > CLICK) view.show(Math.min(begun, time), Math.max(begun, time));
      this.#moved();
    };
    const up = (/** @type {PointerEvent} */ at) => {
      this.overview.removeEventListener("pointermove", move);
      this.overview.removeEventListener("pointerup", up);
      this.overview.removeEventListener("pointercancel", up);
      const isClick = !isInside && at.type === "pointerup" && Math.abs(at.offsetX - event.offsetX) <= CLICK;
      if (isClick) this.jump(begun - view.span / 2, begun + view.span / 2);
      else if (!isInside) this.#remember(from, to);
    };
    this.overview.addEventListener("pointermove", move);
    this.overview.addEventListener("pointerup", up);
    this.overview.addEventListener("pointercancel", up);
  }

  /** Take it off the page. */
  remove() {
    cancelAnimationFrame(this.flight ?? 0);
    cancelAnimationFrame(this.request ?? 0);
    this.observer.disconnect();
    this.root.remove();
  }
}
