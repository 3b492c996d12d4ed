/**
 * Which record is at a place on the page.
 */

import { HIDDEN } from "./counts.js";
import { BAR_HEIGHT, LANE_HEIGHT } from "./layout.js";
import { lowerBound } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */

const NEAR = 8;
const NEAR_ARROW = 4;

/**
 * Return the record at a place: a mark, a bar, or the receipt of an arrow; -1: nothing.
 * @param {Scene} scene
 * @param {import("./arrows.js").Arrow[]} arrows That are drawn.
 * @param {number} x
 * @param {number} y Of all lines, scrolled or not.
 */
export function pick(scene, arrows, x, y) {
  const { layout, view } = scene;
  const slot = layout.slotAt(y);
  if (slot?.holds) {
    if (Math.abs(y - layout.markY(slot)) <= NEAR + 2) {
      const mark = nearest(scene, slot, x);
      if (mark >= 0) return mark;
    }
    const row = slot.barRows ? Math.floor((y - slot.y - LANE_HEIGHT + 2) / BAR_HEIGHT) : -1;
    const bars = row >= 0 ? scene.rows(slot.lane)[row] : undefined;
    if (bars) {
      const k = lowerBound(bars.end, view.time(x - 1));
      if (k < bars.begin.length && bars.begin[k] <= view.time(x + 1)) return bars.record[k];
    }
  }
  let found = -1;
  let best = NEAR_ARROW;
  for (const arrow of arrows) {
    const far = distance(arrow, x, y);
    if (far < best) [best, found] = [far, arrow.record];
  }
  return found;
}

/** @param {Scene} scene @param {import("./layout.js").Slot} slot @param {number} x */
function nearest(scene, slot, x) {
  const { view, trace, mask } = scene;
  const counts = scene.counts(slot);
  const [first, last] = counts.range(view.time(x - NEAR), view.time(x + NEAR));
  const at = view.time(x);
  let found = -1;
  let best = Infinity;
  for (let k = first; k < Math.min(last, first + 5000); k++) {
    const i = counts.records[k];
    const far = Math.abs(trace.time[i] - at);
    if (far < best && !(mask[i] & HIDDEN)) [best, found] = [far, i];
  }
  return found;
}

/** From a place to an arrow. @param {import("./arrows.js").Arrow} arrow @param {number} x @param {number} y */
function distance({ x1, y1, x2, y2 }, x, y) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const share = Math.min(Math.max(((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(x - x1 - share * dx, y - y1 - share * dy);
}
