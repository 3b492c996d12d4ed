/**
 * Two timelines one below the other: where they part, and how they move together.
 */

import { firstDivergence } from "./compare.js";
import { labelColours } from "./theme.js";

/** @typedef {import("./pane.js").Pane} Pane */

export class Pair {
  constructor() {
    /** @type {[Pane, Pane] | null} */ this.panes = null;
    /** @type {import("./compare.js").Divergence | null} */ this.found = null;
  }

  /**
   * Find where two go different ways, and have that in view, over the same length of time.
   * @param {Pane} one
   * @param {Pane} two
   */
  join(one, two) {
    this.panes = [one, two];
    const [a, b] = [one.scene, two.scene];
    b.colours = labelColours(b.trace, new Map(a.trace.labels.map((text, k) => [text, a.colours[k]])));
    this.found = b.trace.comparison ?? firstDivergence(a.trace, b.trace);
    a.divergence = this.found?.here ?? -1;
    b.divergence = this.found?.there ?? -1;
    if (a.divergence < 0 || b.divergence < 0) return;
    const half = Math.min(a.view.high - a.view.low, b.view.high - b.view.low) / 2;
    for (const { scene } of this.panes) {
      const at = scene.trace.time[scene.divergence];
      scene.view.show(at - half, at + half);
    }
    for (const pane of this.panes) pane.refresh();
  }

  /** Select the first divergence, in both. */
  go() {
    for (const { scene } of this.panes ?? []) if (scene.divergence < 0) return;
    for (const pane of this.panes ?? []) {
      const i = pane.scene.divergence;
      const half = pane.spacing(i) * 20;
      const at = pane.scene.trace.time[i];
      pane.scene.select(i);
      pane.jump(at - half, at + half);
      pane.scrollTo(i);
    }
  }

  /**
   * Have the other look at the same stretch: divergences are one above the other, else the beginnings.
   * @param {Pane} moved
   */
  follow(moved) {
    const other = this.panes?.find((each) => each !== moved);
    if (!other) return;
    const [a, b] = [moved.scene, other.scene];
    const isParted = a.divergence >= 0 && b.divergence >= 0;
    const from = isParted ? a.trace.time[a.divergence] : a.trace.begin;
    const to = isParted ? b.trace.time[b.divergence] : b.trace.begin;
    b.view.show(a.view.from + to - from, a.view.to + to - from);
    other.refresh();
  }
}
