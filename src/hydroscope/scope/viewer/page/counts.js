/**
 * How many records of each class are in each stretch of time, at any zoom.
 *
 * Running sums by class are kept for every eighth record, so that a stretch costs two searches and at most
 * two times seven records, however many are in it and however they are spread.
 */

import { CLASS_OF, N_CLASSES } from "./trace.js";

export const HIT = N_CLASSES;
export const N_CHANNELS = N_CLASSES + 1;

/** Flags of a record in a mask. */
export const HIDDEN = 1;
export const FOUND = 2;

const STEP = 8;

export class Counts {
  /**
   * @param {Int32Array} records In order of time.
   * @param {Float64Array} times Of each of them.
   * @param {Uint8Array} kinds Of all records.
   * @param {Uint8Array} mask Of all records.
   */
  constructor(records, times, kinds, mask) {
    /** @type {Int32Array} */ this.records = records;
    /** @type {Float64Array} */ this.times = times;
    this.kinds = kinds;
    this.mask = mask;
    const n = records.length;
    this.sums = new Uint32Array((Math.floor(n / STEP) + 1) * N_CHANNELS);
    const sum = new Uint32Array(N_CHANNELS);
    for (let k = 0; k < n; k++) {
      if (k % STEP === 0) this.sums.set(sum, (k / STEP) * N_CHANNELS);
      this.#add(sum, 0, k, 1);
    }
    if (n % STEP === 0) this.sums.set(sum, (n / STEP) * N_CHANNELS);
  }

  /**
   * Count the records in each of `nBins` equal stretches of [from, to).
   * @param {number} from
   * @param {number} to
   * @param {number} nBins
   * @param {Uint32Array} out N_CHANNELS for each bin.
   * @returns {number} The most that are in one bin.
   */
  bins(from, to, nBins, out) {
    out.fill(0, 0, nBins * N_CHANNELS);
    let left = this.#after(from, 0);
    let most = 0;
    const width = (to - from) / nBins;
    for (let b = 0; b < nBins && left < this.times.length; b++) {
      const edge = from + (b + 1) * width;
      if (this.times[left] >= edge) continue;
      const right = this.#after(edge, left);
      const at = b * N_CHANNELS;
      this.#upTo(right, out, at, 1);
      this.#upTo(left, out, at, -1);
      let sum = 0;
      for (let c = 0; c < N_CLASSES; c++) sum += out[at + c];
      if (sum > most) most = sum;
      left = right;
    }
    return most;
  }

  /** Places [first, last) of records whose time is in [from, to). @param {number} from @param {number} to */
  range(from, to) {
    const first = this.#after(from, 0);
    return [first, this.#after(to, first)];
  }

  /** The first place at or after a time, searched from a place before it in steps that double. */
  #after(/** @type {number} */ time, /** @type {number} */ place) {
    const { times } = this;
    let step = 1;
    let low = place;
    let high = place;
    while (high < times.length && times[high] < time) {
      low = high + 1;
      high += step;
      step *= 2;
    }
    high = Math.min(high, times.length);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #upTo(
    /** @type {number} */ place,
    /** @type {Uint32Array} */ out,
    /** @type {number} */ at,
    /** @type {number} */ sign,
  ) {
    const block = Math.floor(place / STEP);
    const from = block * N_CHANNELS;
    for (let c = 0; c < N_CHANNELS; c++) out[at + c] += sign * this.sums[from + c];
    for (let k = block * STEP; k < place; k++) this.#add(out, at, k, sign);
  }

  #add(/** @type {Uint32Array} */ out, /** @type {number} */ at, /** @type {number} */ k, /** @type {number} */ sign) {
    const i = this.records[k];
    const flags = this.mask[i];
    if (flags & HIDDEN) return;
    out[at + (CLASS_OF[this.kinds[i]] ?? 3)] += sign;
    if (flags & FOUND) out[at + HIT] += sign;
  }
}
