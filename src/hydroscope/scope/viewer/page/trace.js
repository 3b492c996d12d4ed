/**
 * What was recorded, as typed arrays: records node after node, each node's in the order in which it wrote them.
 */

import { Container } from "./columns.js";

export const KIND = {
  SENT: 1,
  RECEIVED: 2,
  DROPPED: 3,
  RESENT: 4,
  QUEUED: 5,
  STARTED: 6,
  ENDED: 7,
  PUT: 8,
  REMOVED: 9,
  SPILLED: 10,
  FAILED: 11,
  NOTE: 12,
  SAMPLE: 13,
  CLOCK: 14,
};

export const KIND_NAMES = [
  "none",
  "sent",
  "received",
  "dropped",
  "resent",
  "queued",
  "started",
  "ended",
  "put",
  "removed",
  "spilled",
  "failed",
  "note",
  "sample",
  "clock",
];

/** Classes of kinds, which are counted and coloured alike. */
export const CLASS = { MESSAGE: 0, TASK: 1, STATE: 2, NOTE: 3, TROUBLE: 4 };
export const N_CLASSES = 5;

/** Class of each kind. */
export const CLASS_OF = Uint8Array.from([3, 0, 0, 4, 4, 1, 1, 1, 2, 2, 2, 4, 3, 3, 3]);

/**
 * @typedef {object} NodeAbout
 * @property {string} name
 * @property {number} pid
 * @property {[string, string]} roles What it is and which member, which is the same in another run; "" if unknown.
 * @property {string} why Why there is nothing of it, if so.
 * @property {number} torn
 * @property {number | null} offset_ns What its clock was ahead of the reference's.
 * @property {number | null} error_ns null: unknown
 * @property {number} drift_ppm
 * @property {boolean} reference
 * @property {{time: number, by_ns: number | null}[]} jumps
 */

/** @typedef {{kind: string, text: string, records: number[], count: number}} Finding */
/** @typedef {{node: number, name: string, records: Int32Array}} Lane */
/** @typedef {{record: Int32Array, cpu: Float64Array, memory: Float64Array}} Samples */

/** Of what `pack.py` writes. */
const VERSION = 1;

/** All of a timeline, and what is cheap to derive from it. */
export class Trace {
  /** @param {Record<string, any>} parts As `read` gathers them. */
  constructor(parts) {
    /** @type {string} */ this.title = parts.title;
    /** Nanoseconds since 1970 of time 0. @type {bigint} */ this.t0 = parts.t0;
    /** @type {NodeAbout[]} */ this.nodes = parts.nodes;
    /** @type {string[]} */ this.names = parts.names;
    /** @type {string[]} */ this.labels = parts.labels;
    /** @type {string[]} */ this.texts = parts.texts;
    /** @type {Finding[]} */ this.findings = parts.findings;
    /** @type {string} */ this.explained = parts.explained;
    /** Of labels, the sort of hydroscope's own messages; 0: none, -1: one not compared. @type {number[]} */
    this.sorts = parts.sorts;
    /** What a comparison with the timeline before it has found. @type {import("./compare.js").Divergence | null} */
    this.comparison = parts.comparison;
    /** @type {Int32Array} */ this.starts = parts.starts;
    /** Corrected time, ns since t0. @type {Float64Array} */ this.time = parts.time;
    /** @type {Uint32Array} */ this.errorCode = parts.error;
    /** @type {Uint8Array} */ this.kind = parts.kind;
    /** Index into names. @type {Uint32Array} */ this.laneName = parts.lane;
    /** -1: none. @type {Int32Array} */ this.peer = parts.peer;
    /** @type {Uint32Array} */ this.subject = parts.subject;
    /** @type {Uint32Array} */ this.label = parts.label;
    /** @type {Uint32Array} */ this.text = parts.text;
    /** @type {Uint32Array} */ this.nBytes = parts.n_bytes;
    /** @type {import("./columns.js").Words} */ this.id = parts.id;
    /** @type {import("./columns.js").Words} */ this.stamp = parts.stamp;
    /** Of a receipt what was sent, of what was sent its first receipt; -1. @type {Int32Array} */
    this.partner = parts.partner;
    /** Of an end its beginning, of a beginning its queueing; -1. @type {Int32Array} */ this.begun = parts.begun;
    /** @type {Uint8Array} */ this.data = parts.data;
    /** @type {Uint32Array} */ this.dataEnd = parts.dataEnd;
    /** @type {Samples} */ this.samples = parts.samples;
    /** @type {Record<string, any> | null} */ this.changes = parts.changes;
    this.n = this.time.length;
    this.node = nodesOf(this.starts, this.n);
    /** Records in the one order. @type {Int32Array} */ this.byRank = ranked(parts.order, this.starts);
    this.rank = inverse(this.byRank);
    this.ended = endsOf(this.kind, this.begun);
    /** @type {Lane[]} */ this.lanes = lanesOf(this);
    this.laneOf = new Int32Array(this.n);
    this.lanes.forEach((lane, k) => {
      for (const i of lane.records) this.laneOf[i] = k;
    });
    this.begin = this.n ? this.time[this.byRank[0]] : 0;
    this.end = this.n ? this.time[this.byRank[this.n - 1]] : 1e9;
  }

  /** Plus or minus, in ns; Infinity: unknown. @param {number} i */
  error(i) {
    return errorOf(this.errorCode[i]);
  }

  /** @param {number} i */
  isSend(i) {
    return this.kind[i] === KIND.SENT || this.kind[i] === KIND.RESENT;
  }

  /** @param {number} i */
  isReceipt(i) {
    return this.kind[i] === KIND.RECEIVED || this.kind[i] === KIND.DROPPED;
  }

  /** @param {number} i @returns {bigint} */
  idOf(i) {
    return wide(this.id, i);
  }

  /** @param {number} i @returns {bigint} */
  stampOf(i) {
    return wide(this.stamp, i);
  }

  /** First bytes of the message. @param {number} i */
  dataOf(i) {
    const holder = this.isReceipt(i) && this.partner[i] >= 0 && this.dataSize(i) === 0 ? this.partner[i] : i;
    return this.data.subarray(holder ? this.dataEnd[holder - 1] : 0, this.dataEnd[holder]);
  }

  /** @param {number} i */
  dataSize(i) {
    return this.dataEnd[i] - (i ? this.dataEnd[i - 1] : 0);
  }

  /** First record of a node at or after a time. @param {number} node @param {number} time */
  firstAt(node, time) {
    return lowerBound(this.time, time, this.starts[node], this.starts[node + 1]);
  }

  /** A record in a few words, without its node. @param {number} i */
  short(i) {
    const label = this.labels[this.label[i]];
    const kind = KIND_NAMES[this.kind[i]] ?? `kind ${this.kind[i]}`;
    return label ? `${kind} ${label}` : kind;
  }

  /** All of it that is text. @param {number} i */
  told(i) {
    const text = this.texts[this.text[i]];
    const peer = this.peer[i] >= 0 ? ` ${this.isSend(i) ? "to" : "from"} ${this.nodes[this.peer[i]].name}` : "";
    return `${this.short(i)}${peer}${text ? `: ${text}` : ""}`;
  }
}

/**
 * Read all of a container.
 * @param {Container} box
 * @param {(share: number) => void} [onProgress]
 */
export async function readTrace(box, onProgress = () => {}) {
  if (box.header.version !== VERSION) {
    const other = box.header.version ?? "none";
    throw new Error(`This timeline is of version ${other}, and this page reads version ${VERSION}: write both anew.`);
  }
  /** @type {Record<string, any>} */
  const parts = { title: box.header.title, t0: BigInt(box.header.t0) };
  const read = (/** @type {string[]} */ names, /** @type {(name: string) => Promise<any>} */ how) =>
    names.map((name) => async () => {
      parts[name] = await how(name);
    });
  const jobs = [
    ...read(["nodes", "names", "labels", "texts", "findings"], (name) => box.json(name)),
    ...read(["error", "lane", "subject", "label", "text", "n_bytes", "order", "back", "n_data"], (name) =>
      box.ints(name),
    ),
    ...read(["time"], (name) => box.floats(name)),
    ...read(["id", "stamp"], (name) => box.words(name)),
    ...read(["kind"], async (name) => Uint8Array.from(await box.ints(name))),
    ...read(["peer"], async (name) => lessOne(await box.ints(name, true))),
    ...read(["partner"], (name) => box.ints(name, true)),
    ...read(["data"], (name) => box.bytes(name)),
    ...read(["samples"], () => readSamples(box)),
    ...read(["changes"], async () => (box.has("change_stamp") ? readChanges(box) : null)),
  ];
  for (const [k, job] of jobs.entries()) {
    await job();
    onProgress((k + 1) / jobs.length);
  }
  parts.explained = box.header.explained;
  parts.sorts = box.header.sorts;
  parts.comparison = box.header.comparison ?? null;
  parts.starts = Int32Array.from(box.header.starts);
  parts.dataEnd = summed(parts.n_data);
  parts.partner = partnersOf(parts);
  fillIds(parts);
  parts.begun = new Int32Array(parts.back.length);
  for (let i = 0; i < parts.begun.length; i++) parts.begun[i] = parts.back[i] ? i - parts.back[i] : -1;
  return new Trace(parts);
}

/** @param {Int32Array} values */
function lessOne(values) {
  for (let i = 0; i < values.length; i++) values[i]--;
  return values;
}

/** @param {Container} box @returns {Promise<Samples>} */
async function readSamples(box) {
  const [record, cpu, memory] = await Promise.all(
    ["record", "cpu", "memory"].map((name) => box.floats(`sample_${name}`)),
  );
  return { record: Int32Array.from(record), cpu, memory };
}

/** @param {Container} box */
async function readChanges(box) {
  const [stamp, node, key, old, fresh, strings] = await Promise.all([
    box.words("change_stamp"),
    box.ints("change_node"),
    box.ints("change_key"),
    box.ints("change_old"),
    box.ints("change_new"),
    box.json("change_strings"),
  ]);
  return { stamp, node, key, old, fresh, strings, nodes: box.header.change_nodes };
}

/** Plus or minus, of its code: 256 steps for each power of two. @param {number} code */
export function errorOf(code) {
  return code === 65535 ? Infinity : 2 ** (code / 256) - 1;
}

/** @param {import("./columns.js").Words} words @param {number} i @returns {bigint} */
export function wide({ lo, hi }, i) {
  return (BigInt(hi ? hi[i] : 0) << 32n) | BigInt(lo[i]);
}

/**
 * Return the first place in [from, to) whose value is not below `value`; `to` if there is none.
 * @param {ArrayLike<number>} values Ascending.
 * @param {number} value
 * @param {number} from
 * @param {number} to
 */
export function lowerBound(values, value, from = 0, to = values.length) {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** @param {Int32Array} starts @param {number} n */
function nodesOf(starts, n) {
  const out = new Uint16Array(n);
  for (let k = 0; k + 1 < starts.length; k++) out.fill(k, starts[k], starts[k + 1]);
  return out;
}

/**
 * The records in order, from the node of each.
 * @param {Uint32Array} nodes
 * @param {Int32Array} starts
 */
function ranked(nodes, starts) {
  const next = starts.slice();
  const out = new Int32Array(nodes.length);
  for (let rank = 0; rank < nodes.length; rank++) out[rank] = next[nodes[rank]]++;
  return out;
}

/** @param {Int32Array} order */
function inverse(order) {
  const out = new Int32Array(order.length);
  for (let k = 0; k < order.length; k++) out[order[k]] = k;
  return out;
}

/** Of each beginning its end; -1. @param {Uint8Array} kind @param {Int32Array} begun */
function endsOf(kind, begun) {
  const out = new Int32Array(kind.length).fill(-1);
  for (let i = 0; i < kind.length; i++) {
    if (kind[i] === KIND.ENDED && begun[i] >= 0) out[begun[i]] = i;
  }
  return out;
}

/** @param {Uint32Array} sizes */
function summed(sizes) {
  const out = new Uint32Array(sizes.length);
  let sum = 0;
  for (let i = 0; i < sizes.length; i++) out[i] = sum += sizes[i];
  return out;
}

/**
 * Spread the other ends, which are written receipt after receipt by (node, peer), and give what was sent its first
 * receipt.
 * @param {Record<string, any>} parts
 */
function partnersOf({ kind, peer, starts, partner: partners, order }) {
  const n = kind.length;
  const out = new Int32Array(n).fill(-1);
  let at = 0;
  for (let node = 0; node + 1 < starts.length; node++) {
    /** @type {Map<number, number[]>} */
    const byPeer = new Map();
    for (let i = starts[node]; i < starts[node + 1]; i++) {
      if (kind[i] === KIND.RECEIVED || kind[i] === KIND.DROPPED) {
        let list = byPeer.get(peer[i]);
        if (!list) byPeer.set(peer[i], (list = []));
        list.push(i);
      }
    }
    for (const one of [...byPeer.keys()].sort((a, b) => a - b)) {
      for (const i of /** @type {number[]} */ (byPeer.get(one))) out[i] = partners[at++];
    }
  }
  const byRank = ranked(order, starts);
  for (let k = n - 1; k >= 0; k--) {
    const i = byRank[k];
    if ((kind[i] === KIND.RECEIVED || kind[i] === KIND.DROPPED) && out[i] >= 0) out[out[i]] = i;
  }
  return out;
}

/** A receipt has the id of what it received, and an end that of its beginning. @param {Record<string, any>} parts */
function fillIds({ id, kind, partner, back }) {
  for (let i = 0; i < kind.length; i++) {
    const isReceipt = kind[i] === KIND.RECEIVED || kind[i] === KIND.DROPPED;
    const from = isReceipt ? partner[i] : back[i] ? i - back[i] : -1;
    if (from >= 0) {
      id.lo[i] = id.lo[from];
      if (id.hi) id.hi[i] = id.hi[from];
    }
  }
}

/** @param {Trace} trace @returns {Lane[]} */
function lanesOf({ nodes, starts, laneName, names }) {
  /** @type {Lane[]} */
  const lanes = [];
  for (let node = 0; node < nodes.length; node++) {
    /** @type {Map<number, number>} */
    const counts = new Map();
    for (let i = starts[node]; i < starts[node + 1]; i++) counts.set(laneName[i], (counts.get(laneName[i]) ?? 0) + 1);
    /** @type {Map<number, {records: Int32Array, n: number}>} */
    const places = new Map();
    const byName = (/** @type {[number, number]} */ [a], /** @type {[number, number]} */ [b]) =>
      (names[a] ?? "").localeCompare(names[b] ?? "", "en", { numeric: true });
    for (const [name, n] of [...counts].sort(byName)) {
      const records = new Int32Array(n);
      places.set(name, { records, n: 0 });
      lanes.push({ node, name: names[name] ?? "", records });
    }
    for (let i = starts[node]; i < starts[node + 1]; i++) {
      const place = /** @type {{records: Int32Array, n: number}} */ (places.get(laneName[i]));
      place.records[place.n++] = i;
    }
  }
  return lanes;
}
