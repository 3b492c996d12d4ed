/**
 * Where on the page each node and lane is.
 */

import { KIND } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/**
 * @typedef {object} Slot One line of the page.
 * @property {number} node
 * @property {number} lane -1: the line of the node itself.
 * @property {number} y
 * @property {number} height
 * @property {boolean} holds Whether records are drawn in it.
 * @property {number} barRows
 */

export const NODE_HEIGHT = 26;
export const FLAT_HEIGHT = 34;
export const CURVE_HEIGHT = 24;
export const LANE_HEIGHT = 24;
export const BAR_HEIGHT = 15;
export const GAP = 6;

/** How many lines are open at first; with more of them, nodes are closed. */
const LINES_OPEN = 60;

export class Layout {
  /** @param {Trace} trace @param {(lane: number) => number} barRows How many rows of bars a lane has. */
  constructor(trace, barRows) {
    this.trace = trace;
    this.barRows = barRows;
    /** @type {number[][]} */
    this.lanesOf = trace.nodes.map(() => []);
    trace.lanes.forEach((lane, k) => this.lanesOf[lane.node].push(k));
    const isMany = trace.lanes.length + trace.nodes.length > LINES_OPEN;
    this.closed = new Set(isMany ? trace.nodes.keys() : []);
    /** @type {Set<number>} */ this.hiddenNodes = new Set();
    this.hasCurves = new Set([...trace.samples.record].map((i) => trace.node[i]));
    /** @type {Slot[]} */ this.slots = [];
    this.height = 0;
    /** Rises with each change. */ this.version = 0;
    /** Lanes of nothing but samples and clocks, which the node's curves show: they have no line of their own. */
    this.quiet = quietLanes(trace);
    /** Of each lane the slot that its records are in; -1: hidden. */
    this.slotOfLane = new Int32Array(trace.lanes.length);
    /** Of each node its own slot; -1: hidden. */
    this.slotOfNode = new Int32Array(trace.nodes.length);
    this.update();
  }

  /** Place all lines again, after something was opened, closed or hidden. */
  update() {
    this.version++;
    this.slots = [];
    this.slotOfLane.fill(-1);
    this.slotOfNode.fill(-1);
    let y = GAP;
    this.trace.nodes.forEach((_, node) => {
      if (this.hiddenNodes.has(node)) return;
      const lanes = this.lanesOf[node].filter((lane) => !this.quiet.has(lane));
      const isFlat = this.closed.has(node) || lanes.length === 0;
      const curves = this.hasCurves.has(node) && !this.closed.has(node) ? CURVE_HEIGHT : 0;
      const height = (isFlat ? FLAT_HEIGHT : NODE_HEIGHT) + curves;
      this.slotOfNode[node] = this.slots.length;
      for (const lane of this.lanesOf[node]) this.slotOfLane[lane] = this.slots.length;
      this.slots.push({ node, lane: -1, y, height, holds: isFlat, barRows: 0 });
      y += height;
      if (!isFlat) {
        for (const lane of lanes) {
          const barRows = this.barRows(lane);
          this.slotOfLane[lane] = this.slots.length;
          this.slots.push({ node, lane, y, height: LANE_HEIGHT + barRows * BAR_HEIGHT, holds: true, barRows });
          y += LANE_HEIGHT + barRows * BAR_HEIGHT;
        }
      }
      y += GAP;
    });
    this.height = y;
  }

  /** @param {number} node @param {boolean} isOpen */
  setOpen(node, isOpen) {
    if (isOpen) this.closed.delete(node);
    else this.closed.add(node);
    this.update();
  }

  /** Middle of the marks of a record; NaN: hidden. @param {number} i */
  yOf(i) {
    const slot = this.slotOfLane[this.trace.laneOf[i]];
    return slot < 0 ? NaN : this.markY(this.slots[slot]);
  }

  /** Middle of the line that marks stand on. @param {Slot} slot */
  markY(slot) {
    return slot.y + (slot.lane < 0 ? FLAT_HEIGHT : LANE_HEIGHT) / 2;
  }

  /** Where a node is met when nothing says which lane; NaN: hidden. @param {number} node */
  nodeY(node) {
    const slot = this.slotOfNode[node];
    return slot < 0 ? NaN : this.slots[slot].y + NODE_HEIGHT / 2;
  }

  /** The line at a height; null between lines. @param {number} y */
  slotAt(y) {
    let low = 0;
    let high = this.slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.slots[middle].y + this.slots[middle].height <= y) low = middle + 1;
      else high = middle;
    }
    const slot = this.slots[low];
    return slot && slot.y <= y ? slot : null;
  }

  /** Lines with some part in [top, bottom). @param {number} top @param {number} bottom */
  visible(top, bottom) {
    return this.slots.filter((slot) => slot.y < bottom && slot.y + slot.height > top);
  }
}

/** @param {Trace} trace @returns {Set<number>} */
function quietLanes({ lanes, kind }) {
  const isQuiet = (/** @type {number} */ i) => kind[i] === KIND.SAMPLE || kind[i] === KIND.CLOCK;
  return new Set([...lanes.keys()].filter((lane) => lanes[lane].records.every(isQuiet)));
}
