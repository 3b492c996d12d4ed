/**
 * From the selected record to others: along its lane, across lanes, to its other end.
 */

import { HIDDEN } from "./counts.js";
import { lowerBound } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */

/** The record before or after the selected one in its lane. @param {Scene} scene @param {number} way */
export function alongLane(scene, way) {
  const { trace, selected, view } = scene;
  if (selected < 0) {
    const middle = scene.latest((view.from + view.to) / 2);
    const rank = middle < 0 ? 0 : trace.rank[middle];
    const before = shown(scene, trace.byRank, rank, -1);
    return before < 0 ? shown(scene, trace.byRank, rank, 1) : before;
  }
  const { records } = trace.lanes[trace.laneOf[selected]];
  return shown(scene, records, lowerBound(records, selected) + way, way);
}

/** The first record that is not hidden, of some from a place on; -1: none. */
function shown(
  /** @type {Scene} */ { mask },
  /** @type {Int32Array} */ records,
  /** @type {number} */ place,
  /** @type {number} */ way,
) {
  for (let k = place; k >= 0 && k < records.length; k += way) {
    if (!(mask[records[k]] & HIDDEN)) return records[k];
  }
  return -1;
}

/** The nearest record of the next lane up or down. @param {Scene} scene @param {number} way */
export function acrossLanes(scene, way) {
  const { trace, layout, selected, view } = scene;
  const time = selected < 0 ? (view.from + view.to) / 2 : trace.time[selected];
  let at = selected < 0 ? -1 : layout.slotOfLane[trace.laneOf[selected]];
  for (at += way; at >= 0 && at < layout.slots.length; at += way) {
    if (!layout.slots[at].holds) continue;
    const { records, times } = scene.counts(layout.slots[at]);
    const place = lowerBound(times, time);
    const near = [shown(scene, records, place - 1, -1), shown(scene, records, place, 1)].filter((i) => i >= 0);
    const far = (/** @type {number} */ i) => Math.abs(trace.time[i] - time);
    if (near.length) return near.reduce((a, b) => (far(a) <= far(b) ? a : b));
  }
  return -1;
}

/** The other end of the selected message or task. @param {Scene} scene */
export function otherEnd({ trace, selected }) {
  if (selected < 0) return -1;
  if (trace.partner[selected] >= 0) return trace.partner[selected];
  return trace.ended[selected] >= 0 ? trace.ended[selected] : trace.begun[selected];
}
