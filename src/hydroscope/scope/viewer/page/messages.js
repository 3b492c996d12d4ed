/**
 * Which message arrows to draw: all of them where there is room, else a stable share of them.
 *
 * Level k holds one message in 2**k, chosen by its number alone, so that arrows do not flicker while the view moves.
 * Messages that took far longer than others are always drawn; they are few, and what one looks for.
 */

import { lowerBound } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */

const SLOW_SHARE = 0.995;
const SLOW_MOST = 300;
const LEAST = 256;

/** @typedef {{sent: Float64Array, record: Int32Array}} Level Receipts, in order of the time they were sent. */

/** All messages of a timeline that have both ends, whatever is hidden: made once. */
export class Mail {
  /** @param {Trace} trace @param {import("./cones.js").Receipts} receipts */
  constructor(trace, receipts) {
    const { time, byRank, n } = trace;
    this.trace = trace;
    /** Receipts by the time they were sent. */ this.list = new Int32Array(receipts.list.length);
    let at = 0;
    for (let rank = 0; rank < n; rank++) {
      const sent = byRank[rank];
      for (let k = receipts.first[sent]; k < receipts.first[sent + 1]; k++) this.list[at++] = receipts.list[k];
    }
    const sorted = new Float64Array(this.list.length);
    for (let k = 0; k < sorted.length; k++) sorted[k] = time[this.list[k]] - time[trace.partner[this.list[k]]];
    sorted.sort();
    const place = Math.max(Math.floor(sorted.length * SLOW_SHARE), sorted.length - SLOW_MOST) - 1;
    /** Of those that are not slow. */ this.longest = sorted[Math.max(place, 0)] ?? 0;
  }
}

/** Those that are shown. */
export class Messages {
  /** @param {Mail} mail @param {(receipt: number) => boolean} isShown */
  constructor(mail, isShown) {
    const { time, partner } = mail.trace;
    this.trace = mail.trace;
    this.longest = mail.longest;
    const isSlow = (/** @type {number} */ i) => time[i] - time[partner[i]] > mail.longest;
    const shown = mail.list.filter(isShown);
    this.slow = shown.filter(isSlow);
    /** @type {Level[]} */
    this.levels = [];
    let rest = shown.filter((i) => !isSlow(i));
    for (let bit = 0; ; bit++) {
      const sent = new Float64Array(rest.length); // `from` with a function takes ten times as long
      for (let k = 0; k < sent.length; k++) sent[k] = time[partner[rest[k]]];
      this.levels.push({ sent, record: rest });
      if (rest.length <= LEAST || bit > 24) break;
      rest = rest.filter((i) => ((mixed(i) >>> bit) & 1) === 0);
    }
  }

  /**
   * Receipts of at most `budget` messages that are under way within [from, to), and of all slow ones.
   * @param {number} from
   * @param {number} to
   * @param {number} budget
   * @returns {{records: number[], share: number}} `share`: one in so many is there.
   */
  visible(from, to, budget) {
    const { time, partner } = this.trace;
    const records = [];
    let level = 0;
    let first = 0;
    let last = 0;
    for (; level < this.levels.length; level++) {
      const { sent } = this.levels[level];
      first = lowerBound(sent, from - this.longest);
      last = lowerBound(sent, to, first);
      if (last - first <= budget) break;
    }
    level = Math.min(level, this.levels.length - 1);
    const { record } = this.levels[level];
    for (let k = first; k < Math.min(last, first + budget); k++) {
      if (time[record[k]] >= from) records.push(record[k]);
    }
    for (const i of this.slow) {
      if (time[partner[i]] < to && time[i] >= from) records.push(i);
    }
    return { records, share: 2 ** level };
  }
}

/** A number that has nothing to do with its neighbours'. @param {number} value */
function mixed(value) {
  let x = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  return (x ^ (x >>> 16)) >>> 0;
}
