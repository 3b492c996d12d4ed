/**
 * Colours: taken from the style sheet, so that there is one place for them, and given to labels.
 */

import { CLASS, CLASS_OF, KIND } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {Record<string, string>} Palette */

const N_COLOURS = 8;
const NAMES = [
  "bg",
  "row",
  "line",
  "text",
  "dim",
  "faint",
  "accent",
  "message",
  "task",
  "state",
  "note",
  "trouble",
  "hit",
  "past",
  "future",
  "hatch",
  "select",
  "memory",
];

/** Name of the colour of each class. */
export const CLASS_COLOURS = ["message", "task", "state", "note", "trouble"];

/** @param {Element} element @returns {Palette} */
export function palette(element) {
  const style = getComputedStyle(element);
  /** @type {Palette} */
  const found = {};
  for (const name of NAMES) found[name] = style.getPropertyValue(`--${name}`).trim();
  for (let k = 0; k < N_COLOURS; k++) found[`c${k}`] = style.getPropertyValue(`--c${k}`).trim();
  return found;
}

/**
 * Which colour each label has: the commonest labels of messages and tasks one each, the rest that of their class.
 * @param {Trace} trace
 * @param {Map<string, number>} [given] Colours that labels have elsewhere.
 * @returns {Int8Array} Of each label; -1: none of its own.
 */
export function labelColours(trace, given = new Map()) {
  const out = Int8Array.from(trace.labels, (text) => given.get(text) ?? -1);
  const free = [...Array(N_COLOURS).keys()].filter((colour) => !out.includes(colour));
  for (const { label } of labelCounts(trace)) {
    if (out[label] < 0 && free.length) out[label] = /** @type {number} */ (free.shift());
  }
  return out;
}

/**
 * Labels of messages and tasks, the commonest first.
 * @param {Trace} trace
 * @returns {{label: number, count: number}[]}
 */
export function labelCounts(trace) {
  const counts = new Uint32Array(trace.labels.length);
  for (let i = 0; i < trace.n; i++) {
    const kind = CLASS_OF[trace.kind[i]];
    if (kind === CLASS.MESSAGE || kind === CLASS.TASK || trace.kind[i] === KIND.RESENT) counts[trace.label[i]]++;
  }
  return [...counts]
    .map((count, label) => ({ label, count }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || a.label - b.label);
}

/** Colour of a record. @param {Trace} trace @param {Int8Array} colours @param {Palette} colour @param {number} i */
export function colourOf(trace, colours, colour, i) {
  const kind = CLASS_OF[trace.kind[i]] ?? 3;
  if (kind === CLASS.MESSAGE || kind === CLASS.TASK) {
    const own = colours[trace.label[i]];
    return own >= 0 ? colour[`c${own}`] : colour[CLASS_COLOURS[kind]];
  }
  return colour[CLASS_COLOURS[kind]];
}
