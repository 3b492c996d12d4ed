/**
 * States of nodes at a moment, from their changes; moved from one moment to another change by change.
 */

import { wide } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {{node: string, key: string, old: string | null, fresh: string | null}} Change */

export class States {
  /** @param {Record<string, any>} changes As `trace.changes`: in order of their stamps. */
  constructor(changes) {
    const { stamp, node, key, old, fresh, strings } = changes;
    this.text = (/** @type {number} */ code) => (code ? strings[code - 1] : null);
    /** @type {import("./columns.js").Words} */ this.stamp = stamp;
    /** @type {Uint32Array} */ this.node = node;
    /** @type {Uint32Array} */ this.key = key;
    /** @type {Uint32Array} */ this.old = old;
    /** @type {Uint32Array} */ this.fresh = fresh;
    /** @type {string[]} */ this.nodes = changes.nodes;
    this.n = node.length;
    /** So many changes have happened. */ this.place = 0;
    /** Of each node: code of key -> code of value. @type {Map<number, number>[]} */
    this.values = this.nodes.map(() => new Map());
    for (let k = this.n - 1; k >= 0; k--) {
      if (old[k]) this.values[node[k]].set(key[k], old[k]);
      else this.values[node[k]].delete(key[k]);
    }
  }

  /** Go to where `place` changes have happened. @param {number} place */
  move(place) {
    const to = Math.min(Math.max(place, 0), this.n);
    for (; this.place < to; this.place++) this.#set(this.place, this.fresh);
    for (; this.place > to; this.place--) this.#set(this.place - 1, this.old);
  }

  #set(/** @type {number} */ k, /** @type {Uint32Array} */ codes) {
    const values = this.values[this.node[k]];
    if (codes[k]) values.set(this.key[k], codes[k]);
    else values.delete(this.key[k]);
  }

  /** How many changes have happened by a stamp, its own included. @param {bigint} stamp */
  placeOf(stamp) {
    let [low, high] = [0, this.n];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (wide(this.stamp, middle) <= stamp) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Stamp of the last change that has happened; of the first, one less, before it. */
  stampHere() {
    if (!this.n) return 0n;
    return this.place ? wide(this.stamp, this.place - 1) : wide(this.stamp, 0) - 1n;
  }

  /** The next place where all changes of one stamp have happened. @param {number} way 1 or -1. */
  step(way) {
    let place = this.place;
    if (way > 0 && place < this.n) {
      const stamp = wide(this.stamp, place);
      while (place < this.n && wide(this.stamp, place) === stamp) place++;
    } else if (way < 0 && place > 0) {
      const stamp = wide(this.stamp, place - 1);
      while (place > 0 && wide(this.stamp, place - 1) === stamp) place--;
    }
    this.move(place);
  }

  /** What the last event changed. @returns {Change[]} */
  last() {
    /** @type {Change[]} */
    const out = [];
    for (let k = this.place - 1; k >= 0 && wide(this.stamp, k) === wide(this.stamp, this.place - 1); k--) {
      out.push({
        node: this.nodes[this.node[k]],
        key: this.text(this.key[k]) ?? "",
        old: this.text(this.old[k]),
        fresh: this.text(this.fresh[k]),
      });
    }
    return out.reverse();
  }

  /** Keys and values of a node, by key. @param {number} node @returns {[string, string][]} */
  items(node) {
    /** @type {[string, string][]} */
    const out = [];
    for (const [key, value] of this.values[node]) out.push([this.text(key) ?? "", this.text(value) ?? ""]);
    return out.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  }
}

/**
 * Of each node the first record after a stamp: where the moment of that stamp lies.
 * @param {Trace} trace
 * @param {bigint} stamp
 */
export function cutAt(trace, stamp) {
  return Int32Array.from(trace.nodes, (_, node) => {
    let [low, high] = [trace.starts[node], trace.starts[node + 1]];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (trace.stampOf(middle) <= stamp) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/**
 * Keys as a tree: parts that many begin with, once.
 * @param {[string, string][]} items By key.
 * @returns {{path: string, items: [string, string][]}[]}
 */
export function groupsOf(items) {
  /** @type {Map<string, [string, string][]>} */
  const groups = new Map();
  for (const [key, value] of items) {
    const at = Math.max(key.lastIndexOf("/"), key.lastIndexOf(":"), key.lastIndexOf("."));
    const path = at > 0 ? key.slice(0, at + 1) : "";
    const group = groups.get(path);
    if (group) group.push([key.slice(path.length), value]);
    else groups.set(path, [[key.slice(path.length), value]]);
  }
  return [...groups].map(([path, inside]) => ({ path, items: inside }));
}
