/**
 * Where two timelines go different ways, when nobody else has found out: for a page that was dropped on this one.
 */

import { KIND } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {{here: number, there: number, text: string}} Divergence Records; -1: nowhere. */

const N_BEFORE = 8;
const SHARE = 0.1;
/** Kinds of which more or fewer are no difference. */
const BY_CHANCE = new Set([KIND.SAMPLE, KIND.CLOCK, KIND.RESENT, KIND.DROPPED]);

/**
 * Return the first place where a node did not do the same in both.
 *
 * Records correspond if they tell the same of the same node and have the same id; or, where the two use other ids, by
 * their place among the records of one kind between the same two ends. A record without its like counts if the other
 * recording has records of that node from before and from after it.
 * @param {Trace} one
 * @param {Trace} two
 * @returns {Divergence | null} Null if, as far as both were recorded, nothing differs.
 */
export function firstDivergence(one, two) {
  const [here, there] = [one.nodes.map(({ name }) => name), calledHere(one.nodes, two.nodes)];
  let [mine, theirs] = [keysOf(one, here, true), keysOf(two, there, true)];
  if (alike(one, mine, theirs) < SHARE * Math.min(mine.size, theirs.size))
    [mine, theirs] = [keysOf(one, here, false), keysOf(two, there, false)];
  const found = [
    { ...first(one, mine, theirs), isMine: true },
    { ...first(two, theirs, mine), isMine: false },
  ].filter(({ record, like }) => record >= 0 && like >= 0);
  const rankHere = (/** @type {(typeof found)[0]} */ each) => one.rank[each.isMine ? each.record : each.like];
  found.sort((a, b) => rankHere(a) - rankHere(b));
  if (!found.length) return null;
  const [{ record, like, isMine }] = found;
  const trace = isMine ? one : two;
  return {
    here: isMine ? record : like,
    there: isMine ? like : record,
    text: `${trace.nodes[trace.node[record]].name} ${trace.told(record)}, only ${isMine ? "here" : "there"}`,
  };
}

/**
 * What nodes of the other timeline are called in this: by name, or else where each has one only that is the same.
 * @param {import("./trace.js").NodeAbout[]} mine
 * @param {import("./trace.js").NodeAbout[]} theirs
 */
export function calledHere(mine, theirs) {
  const names = new Set(mine.map(({ name }) => name));
  const called = theirs.map(({ name }) => (names.has(name) ? name : ""));
  for (const level of [0, 1]) {
    const rest = mine.filter(({ name }) => !called.includes(name));
    const open = theirs.filter((_, k) => !called[k]);
    for (const node of open) {
      const role = node.roles[level];
      const [here, there] = [rest, open].map((nodes) => nodes.filter(({ roles }) => roles[level] === role));
      if (role && here.length === 1 && there.length === 1) called[theirs.indexOf(node)] = here[0].name;
    }
  }
  return called.map((name, k) => name || theirs[k].name);
}

/**
 * Records by what they tell, which is the same in both timelines.
 * @param {Trace} trace
 * @param {string[]} names Of its nodes.
 * @param {boolean} byIds
 * @returns {Map<string, number>}
 */
function keysOf(trace, names, byIds) {
  /** @type {Map<string, number>} */
  const keys = new Map();
  /** @type {Map<string, number>} */
  const turns = new Map();
  for (let i = 0; i < trace.n; i++) {
    if (BY_CHANCE.has(trace.kind[i])) continue;
    const sort = trace.peer[i] >= 0 ? trace.sorts[trace.label[i]] : 0;
    if (sort < 0) continue;
    const isChange = trace.kind[i] === KIND.PUT || trace.kind[i] === KIND.REMOVED;
    const peer = trace.peer[i] >= 0 ? names[trace.peer[i]] : isChange ? trace.names[trace.subject[i]] : "";
    const stream = `${names[trace.node[i]]}\n${trace.kind[i]} ${sort}\n${peer}\n${byIds ? trace.idOf(i) : ""}`;
    const turn = turns.get(stream) ?? 0;
    turns.set(stream, turn + 1);
    keys.set(`${stream}\n${turn}\n${trace.labels[trace.label[i]]}`, i);
  }
  return keys;
}

/**
 * How many messages have their like.
 * @param {Trace} trace
 * @param {Map<string, number>} mine
 * @param {Map<string, number>} theirs
 */
function alike(trace, mine, theirs) {
  let n = 0;
  for (const [key, i] of mine) if (trace.peer[i] >= 0 && theirs.has(key)) n++;
  return n;
}

/**
 * The first record without its like, and the like of the last before it.
 * @param {Trace} trace
 * @param {Map<string, number>} mine
 * @param {Map<string, number>} theirs
 */
function first(trace, mine, theirs) {
  const like = new Int32Array(trace.n).fill(-2);
  for (const [key, i] of mine) like[i] = theirs.get(key) ?? -1;
  let best = { record: -1, like: -1 };
  for (let node = 0; node < trace.nodes.length; node++) {
    const places = [];
    for (let i = trace.starts[node]; i < trace.starts[node + 1]; i++) if (like[i] >= 0) places.push(i);
    if (places.length < 2 * N_BEFORE) continue;
    const [from, to] = [places[N_BEFORE - 1], places[places.length - N_BEFORE]];
    let last = -1;
    for (let i = trace.starts[node]; i < to; i++) {
      if (like[i] >= 0) last = like[i];
      if (like[i] === -1 && i > from) {
        if (best.record < 0 || trace.rank[i] < trace.rank[best.record]) best = { record: i, like: last };
        break;
      }
    }
  }
  return best;
}
