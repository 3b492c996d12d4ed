/**
 * From the selected record to others: along its lane, across lanes, to its other end.
 */

/** @typedef {import("./scene.js").Scene} Scene */

/** The record before or after the selected one in its lane. @param {Scene} scene @param {number} way */
export function alongLane(scene, way) {
  const { trace, selected, view } = scene;
  if (selected < 0) return scene.latest((view.from + view.to) / 2);
  const { records } = trace.lanes[trace.laneOf[selected]];
  let [low, high] = [0, records.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (records[middle] < selected) low = middle + 1;
    else high = middle;
  }
  for (let k = low + way; k >= 0 && k < records.length; k += way) {
    if (!(scene.mask[records[k]] & 1)) return records[k];
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
    const [, after] = scene.counts(layout.slots[at]).range(-Infinity, time);
    const places = [after - 1, after].filter((k) => k >= 0 && k < records.length);
    if (places.length)
      return records[places.reduce((a, b) => (Math.abs(times[a] - time) <= Math.abs(times[b] - time) ? a : b))];
  }
  return -1;
}

/** The other end of the selected message or task. @param {Scene} scene */
export function otherEnd({ trace, selected }) {
  if (selected < 0) return -1;
  if (trace.partner[selected] >= 0) return trace.partner[selected];
  return trace.ended[selected] >= 0 ? trace.ended[selected] : trace.begun[selected];
}
