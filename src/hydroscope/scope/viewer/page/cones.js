/**
 * Past and future of a record: what can have caused it, and what it can have caused.
 *
 * Of each node, the past is what it wrote up to some record, and the future what it wrote from some record on. So a
 * cone is one number a node, and light on the page is one rectangle a node.
 */

/** @typedef {import("./trace.js").Trace} Trace */
/**
 * @typedef {object} Cone
 * @property {number} record
 * @property {Int32Array} past Of each node the first record that is not in the past.
 * @property {Int32Array} future Of each node the first record of the future.
 * @property {Int32Array} pastVia Of each node the receipt by which its past is known; -1.
 * @property {Int32Array} futureVia Of each node the receipt with which its future begins; -1.
 */

/** Other ends by what was sent: all receipts, not only the first. */
export class Receipts {
  /** @param {Trace} trace */
  constructor(trace) {
    const { n, partner } = trace;
    this.first = new Int32Array(n + 1);
    for (let i = 0; i < n; i++) {
      if (trace.isReceipt(i) && partner[i] >= 0) this.first[partner[i] + 1]++;
    }
    for (let i = 0; i < n; i++) this.first[i + 1] += this.first[i];
    this.list = new Int32Array(this.first[n]);
    const next = this.first.slice(0, n);
    for (let i = 0; i < n; i++) {
      if (trace.isReceipt(i) && partner[i] >= 0) this.list[next[partner[i]]++] = i;
    }
  }
}

/**
 * @param {Trace} trace
 * @param {Receipts} receipts
 * @param {number} record
 * @returns {Cone}
 */
export function cone(trace, receipts, record) {
  return { record, ...pastOf(trace, record), ...futureOf(trace, receipts, record) };
}

/** @param {Trace} trace @param {number} record */
function pastOf(trace, record) {
  const { starts, node, partner, nodes } = trace;
  const past = starts.slice(0, nodes.length);
  const pastVia = new Int32Array(nodes.length).fill(-1);
  const todo = past.slice(); // up to where it belongs to the past, as far as is known
  const own = node[record];
  todo[own] = record + 1;
  const queue = [own];
  while (queue.length) {
    const here = /** @type {number} */ (queue.pop());
    for (let i = past[here]; i < todo[here]; i++) {
      if (!trace.isReceipt(i) || partner[i] < 0) continue;
      const sent = partner[i];
      const there = node[sent];
      if (sent < todo[there]) continue;
      if (todo[there] === past[there] && there !== here) queue.push(there);
      todo[there] = sent + 1;
      pastVia[there] = i;
    }
    past[here] = todo[here];
  }
  return { past, pastVia };
}

/** @param {Trace} trace @param {Receipts} receipts @param {number} record */
function futureOf(trace, receipts, record) {
  const { starts, node, nodes } = trace;
  const future = starts.slice(1);
  const futureVia = new Int32Array(nodes.length).fill(-1);
  const todo = future.slice();
  const own = node[record];
  todo[own] = record;
  const queue = [own];
  while (queue.length) {
    const here = /** @type {number} */ (queue.pop());
    for (let i = future[here] - 1; i >= todo[here]; i--) {
      for (let k = receipts.first[i]; k < receipts.first[i + 1]; k++) {
        const received = receipts.list[k];
        const there = node[received];
        if (received >= todo[there]) continue;
        if (todo[there] === future[there] && there !== here) queue.push(there);
        todo[there] = received;
        futureVia[there] = received;
      }
    }
    future[here] = todo[here];
  }
  return { future, futureVia };
}

/** Where a record stands to that of the cone. @param {Trace} trace @param {Cone} lit @param {number} i */
export function relation(trace, lit, i) {
  const node = trace.node[i];
  if (i === lit.record) return "same";
  if (i < lit.past[node]) return "before";
  return i >= lit.future[node] ? "after" : "concurrent";
}

/** How many records are in the past and in the future, without itself. @param {Trace} trace @param {Cone} lit */
export function coneSize(trace, lit) {
  let past = -1;
  let future = -1;
  for (let node = 0; node < trace.nodes.length; node++) {
    past += lit.past[node] - trace.starts[node];
    future += trace.starts[node + 1] - lit.future[node];
  }
  return { past, future };
}

/**
 * The receipts by which the cone spreads: those that brought word of a node, or to it.
 * @param {Trace} trace
 * @param {Cone} lit
 * @returns {{past: number[], future: number[]}}
 */
export function spine(trace, lit) {
  const own = trace.node[lit.record];
  const kept = (/** @type {Int32Array} */ via) => [...via].filter((i, node) => i >= 0 && node !== own);
  const later = (/** @type {number} */ a, /** @type {number} */ b) => trace.rank[a] - trace.rank[b];
  return { past: kept(lit.pastVia).sort(later).reverse(), future: kept(lit.futureVia).sort(later) };
}
