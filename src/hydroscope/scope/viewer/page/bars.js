/**
 * Tasks as bars: which there are in a lane, in which row of it each is drawn, and which are worth drawing.
 */

import { KIND, lowerBound } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {{begin: Float64Array, end: Float64Array, record: Int32Array}} Row Bars that do not overlap, in order. */

const ROWS_MAX = 6;

/**
 * Lay the tasks of a lane out in rows: each in the first that is free, the longest-running lowest in number.
 * @param {Trace} trace
 * @param {Int32Array} records
 * @returns {Row[]}
 */
export function rowsOf(trace, records) {
  /** @type {number[][]} */
  const rows = [];
  /** @type {number[]} */
  const free = [];
  for (const i of records) {
    if (trace.kind[i] !== KIND.STARTED) continue;
    let row = 0;
    while (row < free.length && free[row] > trace.time[i]) row++;
    if (row >= ROWS_MAX) row = free.indexOf(Math.min(...free));
    if (row === rows.length) rows.push([]);
    rows[row].push(i);
    free[row] = endOf(trace, i);
  }
  return rows.map((list) => ({
    begin: Float64Array.from(list, (i) => trace.time[i]),
    end: Float64Array.from(list, (i) => endOf(trace, i)),
    record: Int32Array.from(list),
  }));
}

/** When a task ended; one that did not, goes on until its node's last record. @param {Trace} trace @param {number} i */
export function endOf(trace, i) {
  const end = trace.ended[i];
  return trace.time[end >= 0 ? end : trace.starts[trace.node[i] + 1] - 1];
}

/**
 * Tell of the bars in view: those of a pixel or more one by one, smaller ones that touch in one piece.
 * @param {Row} row
 * @param {number} from
 * @param {number} to
 * @param {number} pixel In ns.
 * @param {(begin: number, end: number, record: number) => void} tell With record -1: several.
 */
export function visibleBars(row, from, to, pixel, tell) {
  const { begin, end, record } = row;
  let k = lowerBound(end, from);
  while (k < begin.length && begin[k] < to) {
    if (end[k] - begin[k] >= pixel) {
      tell(begin[k], end[k], record[k]);
      k++;
      continue;
    }
    const left = begin[k];
    const first = k;
    const next = lowerBound(begin, left + pixel, k + 1);
    k = next;
    while (k - 1 > first && end[k - 1] - begin[k - 1] >= pixel) k--; // a long one is drawn for itself
    tell(left, Math.max(left + pixel, end[k - 1]), k - first === 1 ? record[first] : -1);
  }
}
