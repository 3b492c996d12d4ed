/**
 * What the pointer does with a pane: point at records and choose them, move the view and zoom.
 */

import { make } from "./dom.js";
import { pick } from "./pick.js";
import { span } from "./scale.js";

/** @typedef {import("./pane.js").Pane} Pane */

/** Pixels below which a movement is a click. */
const CLICK = 4;

export class Pointer {
  /** @param {Pane} pane */
  constructor(pane) {
    this.pane = pane;
    /** -1: not on the page. */ this.x = -1;
    /** What it points at; -1: nothing. */ this.record = -1;
    /** A stretch that is being drawn up. @type {[number, number] | null} */ this.box = null;
    const { plot, overview, ruler } = pane;
    for (const each of [plot, overview, ruler]) {
      each.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.#onWheel(event), { passive: false });
    }
    plot.addEventListener("pointerdown", (event) => this.#onDown(event));
    plot.addEventListener("pointermove", (event) => this.#onHover(event));
    plot.addEventListener("pointerleave", () => {
      this.x = -1;
      this.unpoint();
      pane.touch();
    });
    plot.addEventListener("dblclick", (event) => this.#onDouble(event));
    overview.addEventListener("pointerdown", (event) => this.#onOverview(event));
  }

  /** Point at no record: what is below the pointer is another by now. */
  unpoint() {
    this.record = -1;
    this.pane.tip.hidden = true;
  }

  #onWheel(/** @type {WheelEvent} */ event) {
    if (event.shiftKey && !event.ctrlKey) {
      event.preventDefault();
      this.pane.body.scrollTop += event.deltaY || event.deltaX;
      return;
    }
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pane.pan(event.deltaX);
    else this.pane.zoom(1.0018 ** (event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY), event.offsetX);
  }

  #onDown(/** @type {PointerEvent} */ event) {
    if (event.button !== 0) return;
    const { plot } = this.pane;
    const start = { x: event.offsetX, clientX: event.clientX, clientY: event.clientY, from: this.pane.scene.view.from };
    const scrolled = this.pane.body.scrollTop;
    const isBox = event.altKey || event.ctrlKey || event.metaKey;
    let isDrag = false;
    plot.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ at) => {
      const by = at.clientX - start.clientX;
      if (!isDrag && Math.hypot(by, at.clientY - start.clientY) < CLICK) return;
      isDrag = true;
      if (isBox) {
        this.box = [start.x, start.x + by];
        this.pane.touch();
        return;
      }
      const { view } = this.pane.scene;
      const from = start.from - by * view.pixel;
      plot.classList.add("dragged");
      this.pane.body.scrollTop = scrolled - (at.clientY - start.clientY);
      view.show(from, from + view.span);
      this.pane.moved();
    };
    const up = (/** @type {PointerEvent} */ last) => {
      plot.removeEventListener("pointermove", move);
      plot.removeEventListener("pointerup", up);
      plot.removeEventListener("pointercancel", up);
      plot.classList.remove("dragged");
      const { box } = this;
      this.box = null;
      if (box && isDrag) {
        const { view } = this.pane.scene;
        this.pane.jump(view.time(Math.min(...box)), view.time(Math.max(...box)));
      } else if (!isDrag && last.type === "pointerup") {
        this.pane.canvas.focus({ preventScroll: true });
        const { scene, drawn } = this.pane;
        const hit = pick(scene, drawn.arrows, event.offsetX, event.offsetY + scene.scrollY);
        this.pane.listener.onSelect(this.pane, hit, event.shiftKey);
      }
    };
    plot.addEventListener("pointermove", move);
    plot.addEventListener("pointerup", up);
    plot.addEventListener("pointercancel", up);
  }

  #onHover(/** @type {PointerEvent} */ event) {
    const { scene, tip, drawn } = this.pane;
    this.x = event.offsetX;
    const i = event.buttons ? -1 : pick(scene, drawn.arrows, event.offsetX, event.offsetY + scene.scrollY);
    if (i !== this.record) {
      this.record = i;
      tip.hidden = i < 0;
      if (i >= 0) tip.replaceChildren(...this.#tipOf(i));
    }
    if (i >= 0) {
      const width = tip.offsetWidth;
      const isLeft = event.offsetX + width + 24 > scene.view.width;
      tip.style.left = `${Math.max(isLeft ? event.offsetX - width - 12 : event.offsetX + 14, 2)}px`;
      tip.style.top = `${Math.max(Math.min(event.offsetY + 16, scene.height - tip.offsetHeight - 4), 2)}px`;
    }
    this.pane.touch();
  }

  #tipOf(/** @type {number} */ i) {
    const { trace } = this.pane.scene;
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
    const { scene } = this.pane;
    const i = pick(scene, [], event.offsetX, event.offsetY + scene.scrollY);
    const end = i >= 0 ? scene.trace.ended[i] : -1;
    if (end >= 0) {
      const [from, to] = [scene.trace.time[i], scene.trace.time[end]];
      this.pane.jump(from - (to - from) * 0.2, to + (to - from) * 0.2);
    } else {
      const { view } = scene;
      const at = view.time(event.offsetX);
      this.pane.jump(at - (at - view.from) / 5, at + (view.to - at) / 5);
    }
  }

  #onOverview(/** @type {PointerEvent} */ event) {
    const { overview, scene } = this.pane;
    const { view } = scene;
    const { from, to } = view;
    overview.setPointerCapture(event.pointerId);
    const timeAt = (/** @type {PointerEvent} */ at) => view.low + (at.offsetX / view.width) * (view.high - view.low);
    const begun = timeAt(event);
    const isInside = begun >= view.from && begun <= view.to && view.span < (view.high - view.low) * 0.95;
    const grip = begun - view.from;
    const move = (/** @type {PointerEvent} */ at) => {
      const time = timeAt(at);
      if (isInside) view.show(time - grip, time - grip + view.span);
      else if (Math.abs(at.offsetX - event.offsetX) > CLICK) view.show(Math.min(begun, time), Math.max(begun, time));
      this.pane.moved();
    };
    const up = (/** @type {PointerEvent} */ at) => {
      overview.removeEventListener("pointermove", move);
      overview.removeEventListener("pointerup", up);
      overview.removeEventListener("pointercancel", up);
      const isClick = !isInside && at.type === "pointerup" && Math.abs(at.offsetX - event.offsetX) <= CLICK;
      if (isClick) this.pane.jump(begun - view.span / 2, begun + view.span / 2);
      else if (!isInside) this.pane.remember(from, to);
    };
    overview.addEventListener("pointermove", move);
    overview.addEventListener("pointerup", up);
    overview.addEventListener("pointercancel", up);
  }
}
