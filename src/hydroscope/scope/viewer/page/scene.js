/**
 * A timeline with all that decides how it looks: what is in view, open, hidden, found, selected. Owner of what is
 * derived for drawing, which is made when it is first needed.
 */

import { rowsOf } from "./bars.js";
import { cone, Receipts } from "./cones.js";
import { Counts, FOUND, HIDDEN } from "./counts.js";
import { Layout } from "./layout.js";
import { Mail, Messages } from "./messages.js";
import { ticks, View } from "./scale.js";
import { labelColours } from "./theme.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {import("./cones.js").Cone} Cone */
/**
 * @typedef {object} Curve
 * @property {Float64Array} time
 * @property {Float64Array} cpu
 * @property {Float64Array} memory
 * @property {number} mostCpu
 * @property {number} mostMemory
 */

const TICK_ROOM = 110;

export class Scene {
  /** @param {Trace} trace */
  constructor(trace) {
    this.trace = trace;
    this.view = new View(trace.begin, trace.end);
    /** Flags of each record. */ this.mask = new Uint8Array(trace.n);
    this.colours = labelColours(trace);
    /** @type {import("./theme.js").Palette} */ this.colour = {};
    /** @type {CanvasPattern | null} */ this.hatching = null;
    /** Records of findings. @type {Set<number>} */
    this.guilty = new Set(trace.findings.flatMap((each) => each.records));
    /** @type {import("./bars.js").Row[][]} */ this.rowsOfLane = [];
    this.layout = new Layout(trace, (lane) => this.rows(lane).length);
    this.height = 0;
    this.scrollY = 0;
    /** -1: none. */ this.selected = -1;
    /** @type {Cone | null} */ this.cone = null;
    /** The other end of a measurement; -1: none. */ this.marked = -1;
    /** Where this timeline goes another way than that it is compared with; -1: nowhere. */ this.divergence = -1;
    /** Of each node the first record after the moment whose state is shown. @type {Int32Array | null} */
    this.cut = null;
    /** @type {Set<number>} */ this.hiddenKinds = new Set();
    /** @type {Set<number>} */ this.hiddenLabels = new Set();
    /** @type {Int32Array | null} */ this.hits = null;
    this.only = false;
    /** Rises with each change of the mask. */ this.version = 0;
    /** What was hidden when arrows were last chosen. */ this.hiding = "  ";
    /** @type {Map<string, Counts>} */ this.countsOf = new Map();
    /** @type {Messages | null} */ this.arrows = null;
    this.receipts = new Receipts(trace);
    this.mail = new Mail(trace, this.receipts);
    /** @type {Map<number, Curve>} */ this.curveOf = new Map();
    /** @type {Map<string, number>} */ this.widths = new Map();
    /** For counting, kept from frame to frame. */ this.counted = new Uint32Array(0);
  }

  get ticks() {
    return ticks(this.view.from, this.view.to, this.view.width / TICK_ROOM).ticks;
  }

  /** @param {Slot} slot @returns {Counts} */
  counts(slot) {
    const { trace } = this;
    if (slot.lane >= 0) return this.#counted(`l${slot.lane}`, () => trace.lanes[slot.lane].records);
    const [first, stop] = [trace.starts[slot.node], trace.starts[slot.node + 1]];
    return this.#counted(`n${slot.node}`, () => {
      const records = new Int32Array(stop - first);
      for (let k = 0; k < records.length; k++) records[k] = first + k;
      return records;
    });
  }

  /** Counts of all records. */
  all() {
    return this.#counted("all", () => this.trace.byRank);
  }

  #counted(/** @type {string} */ key, /** @type {() => Int32Array} */ records) {
    let counts = this.countsOf.get(key);
    if (!counts) {
      const { trace, mask } = this;
      const list = records();
      const times = new Float64Array(list.length);
      for (let k = 0; k < list.length; k++) times[k] = trace.time[list[k]];
      counts = new Counts(list, times, trace.kind, mask);
      this.countsOf.set(key, counts);
    }
    return counts;
  }

  /** Rows of bars of a lane. @param {number} lane */
  rows(lane) {
    return (this.rowsOfLane[lane] ??= rowsOf(this.trace, this.trace.lanes[lane].records));
  }

  messages() {
    const { mask, trace } = this;
    return (this.arrows ??= new Messages(this.mail, (i) => !(mask[i] & mask[trace.partner[i]] & HIDDEN)));
  }

  /** @param {number} node @returns {Curve} */
  curves(node) {
    let curve = this.curveOf.get(node);
    if (!curve) this.curveOf.set(node, (curve = curveOf(this.trace, node)));
    return curve;
  }

  /** Take in what is hidden and what was found. */
  applyMask() {
    const { trace, mask } = this;
    const kinds = Uint8Array.from({ length: 256 }, (_, k) => (this.hiddenKinds.has(k) ? 1 : 0));
    const labels = Uint8Array.from(trace.labels, (_, k) => (this.hiddenLabels.has(k) ? 1 : 0));
    const ground = this.only && this.hits ? HIDDEN : 0;
    for (let i = 0; i < trace.n; i++) mask[i] = kinds[trace.kind[i]] | labels[trace.label[i]] ? HIDDEN : ground;
    for (const i of this.hits ?? []) {
      mask[i] = kinds[trace.kind[i]] | labels[trace.label[i]] ? HIDDEN | FOUND : FOUND;
    }
    this.countsOf.clear();
    const hiding = `${[...this.hiddenKinds]} ${[...this.hiddenLabels]} ${ground ? this.version : ""}`;
    if (hiding !== this.hiding) this.arrows = null;
    this.hiding = hiding;
    this.version++;
  }

  /** @param {number} i -1: nothing. */
  select(i) {
    this.selected = i;
    if (i < 0) {
      this.cone = null;
      return;
    }
    this.cone = cone(this.trace, this.receipts, i);
  }

  /** The record that a moment comes after. @param {number} time @returns {number} -1: before all. */
  latest(time) {
    const place = this.all().range(-Infinity, time)[1];
    return place > 0 ? this.trace.byRank[place - 1] : -1;
  }

  /** Room for so many numbers, with whatever was left in it. @param {number} n */
  room(n) {
    if (this.counted.length < n) this.counted = new Uint32Array(n);
    return this.counted;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {string} text */
  textWidth(ctx, text) {
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, (width = ctx.measureText(text).width));
    return width;
  }

  /**
   * As much of a text as there is room for.
   * @param {CanvasRenderingContext2D} ctx
   * @param {string} text
   * @param {number} room
   */
  fitted(ctx, text, room) {
    const width = this.textWidth(ctx, text);
    if (width <= room) return text;
    const n = Math.floor((text.length * (room - 8)) / width);
    return n < 2 ? "" : `${text.slice(0, n)}…`;
  }
}

/** Processor (in cores) and memory of a node. @param {Trace} trace @param {number} node @returns {Curve} */
function curveOf({ samples, node: nodeOf, time }, node) {
  const places = [...samples.record.keys()].filter((k) => nodeOf[samples.record[k]] === node);
  const times = Float64Array.from(places, (k) => time[samples.record[k]]);
  const memory = Float64Array.from(places, (k) => samples.memory[k]);
  const cpu = Float64Array.from(places, (k, at) => {
    const before = places[Math.max(at - 1, 0)];
    const took = times[at] - times[Math.max(at - 1, 0)];
    return took > 0 ? Math.max(((samples.cpu[k] - samples.cpu[before]) * 1000) / took, 0) : 0;
  });
  if (cpu.length > 1) cpu[0] = cpu[1];
  return { time: times, cpu, memory, mostCpu: largest(cpu), mostMemory: largest(memory) };
}

/** @param {Float64Array} values */
function largest(values) {
  return values.reduce((a, b) => Math.max(a, b), 0);
}
