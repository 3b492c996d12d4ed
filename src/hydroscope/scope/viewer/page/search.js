/**
 * The language of the search box: words, "kind:sent", /regular expressions/, comparisons; all must hold.
 *
 * What is text is looked at once for each text there is, not once a record.
 */

import { CLASS, CLASS_OF, KIND, KIND_NAMES } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {(i: number) => boolean} Test */

export const FIELDS = ["kind", "node", "peer", "lane", "key", "task", "label", "text", "id", "bytes", "took"];

const TERM = /(-?)(?:(\w+)(:|>=|<=|>|<|=))?(\/(?:\\.|[^/\\])+\/[iu]*|"[^"]*"|\S+)/g;
const UNITS = /** @type {Record<string, number>} */ ({
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
});

/**
 * Return the test that a query means; null for an empty one.
 * @param {Trace} trace
 * @param {string} query
 * @returns {Test | null} Throws an Error that says what is wrong with the query.
 */
export function compile(trace, query) {
  /** @type {Test[]} */
  const tests = [];
  for (const [whole, minus, field, sign, value] of query.matchAll(TERM)) {
    const known = field === undefined || FIELDS.includes(field.toLowerCase());
    const test = known
      ? term(trace, field?.toLowerCase(), sign, value)
      : term(trace, undefined, undefined, whole.slice(minus.length));
    tests.push(minus ? (i) => !test(i) : test);
  }
  return tests.length ? (i) => tests.every((test) => test(i)) : null;
}

/**
 * All records that fulfil a test, in the one order.
 * @param {Trace} trace
 * @param {Test} test
 */
export function find(trace, test) {
  const out = new Int32Array(trace.n);
  let n = 0;
  for (const i of trace.byRank) {
    if (test(i)) out[n++] = i;
  }
  return out.slice(0, n);
}

/**
 * @param {Trace} trace
 * @param {string | undefined} field
 * @param {string | undefined} sign
 * @param {string} value
 * @returns {Test}
 */
function term(trace, field, sign, value) {
  if (sign && sign !== ":" && sign !== "=" && field !== "bytes" && field !== "took") {
    throw new Error(`“${field}” can not be compared with ${sign}; only bytes and took can.`);
  }
  if (field === "bytes") return compared((i) => trace.nBytes[i], sign, value);
  if (field === "took") return compared((i) => tookOf(trace, i), sign, value);
  if (field === "id") return (i) => String(trace.idOf(i)) === value;
  const matches = matcher(value);
  const each = (/** @type {string[]} */ list) => Uint8Array.from(list, (text) => (matches(text ?? "") ? 1 : 0));
  const kinds = each(KIND_NAMES);
  const nodes = each(trace.nodes.map((node) => node.name));
  const names = each(trace.names);
  const labels = each(trace.labels);
  const texts = each(trace.texts);
  const isPeer = (/** @type {number} */ i) => trace.peer[i] >= 0 && nodes[trace.peer[i]] === 1;
  switch (field) {
    case "kind":
      return (i) => kinds[trace.kind[i]] === 1;
    case "node":
      return (i) => nodes[trace.node[i]] === 1;
    case "peer":
      return isPeer;
    case "lane":
      return (i) => names[trace.laneName[i]] === 1;
    case "key":
      return (i) => CLASS_OF[trace.kind[i]] === CLASS.STATE && names[trace.subject[i]] === 1;
    case "task":
      return (i) => CLASS_OF[trace.kind[i]] === CLASS.TASK && names[trace.subject[i]] + labels[trace.label[i]] > 0;
    case "label":
      return (i) => labels[trace.label[i]] === 1;
    case "text":
      return (i) => texts[trace.text[i]] === 1;
    default: {
      const asId = /^\d{1,20}$/.test(value) ? value : null;
      return (i) =>
        labels[trace.label[i]] +
          texts[trace.text[i]] +
          kinds[trace.kind[i]] +
          names[trace.subject[i]] +
          nodes[trace.node[i]] >
          0 ||
        isPeer(i) ||
        (asId !== null && String(trace.idOf(i)) === asId);
    }
  }
}

/** How long a message or a task took, at its end. @param {Trace} trace @param {number} i */
export function tookOf(trace, i) {
  if (trace.isReceipt(i) && trace.partner[i] >= 0) return trace.time[i] - trace.time[trace.partner[i]];
  return trace.kind[i] === KIND.ENDED && trace.begun[i] >= 0 ? trace.time[i] - trace.time[trace.begun[i]] : NaN;
}

/** @param {(i: number) => number} of @param {string | undefined} sign @param {string} value @returns {Test} */
function compared(of, sign, value) {
  const parsed = /^(\d+(?:\.\d+)?)\s*([a-zµ]*)$/i.exec(value);
  const unit = parsed ? (parsed[2] ? UNITS[parsed[2].toLowerCase()] : 1) : undefined;
  if (!parsed || unit === undefined) throw new Error(`“${value}” is not a number with a unit such as 5ms or 2kB.`);
  const than = Number(parsed[1]) * unit;
  switch (sign) {
    case ">":
      return (i) => of(i) > than;
    case ">=":
      return (i) => of(i) >= than;
    case "<":
      return (i) => of(i) < than;
    case "<=":
      return (i) => of(i) <= than;
    default:
      return (i) => of(i) === than;
  }
}

/** @param {string} value @returns {(text: string) => boolean} */
function matcher(value) {
  const pattern = /^\/(.+)\/([iu]*)$/.exec(value);
  if (pattern) {
    let expression;
    try {
      expression = new RegExp(pattern[1], pattern[2]);
    } catch (error) {
      const why = /** @type {Error} */ (error).message.replace(/^.*: /, "");
      throw new Error(`${value} is no regular expression: ${why}`);
    }
    return (text) => expression.test(text);
  }
  const wanted = value.replace(/^"(.*)"$/, "$1").toLowerCase();
  return (text) => text !== "" && text.toLowerCase().includes(wanted);
}
