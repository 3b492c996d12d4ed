/**
 * Time as places and words: views, ticks, spans.
 */

/** Shortest and longest stretch that can be looked at, in ns. */
const SHORTEST = 50;

/** What part of time is on the page. */
export class View {
  /** @param {number} begin Of all there is. @param {number} end */
  constructor(begin, end) {
    const margin = Math.max((end - begin) * 0.02, SHORTEST);
    this.low = begin - margin;
    this.high = end + margin;
    this.from = this.low;
    this.to = this.high;
    this.width = 1000;
  }

  get span() {
    return this.to - this.from;
  }

  /** Nanoseconds of a pixel. */
  get pixel() {
    return this.span / this.width;
  }

  /** @param {number} time */
  x(time) {
    return ((time - this.from) / this.span) * this.width;
  }

  /** @param {number} x */
  time(x) {
    return this.from + (x / this.width) * this.span;
  }

  /** @param {number} from @param {number} to */
  show(from, to) {
    const whole = this.high - this.low;
    const span = Math.min(Math.max(to - from, SHORTEST), whole);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, this.low), this.high - span);
    this.to = this.from + span;
  }

  /** @param {number} factor Below 1: nearer. @param {number} x That stays where it is. */
  zoom(factor, x) {
    const at = this.time(x);
    const span = Math.min(Math.max(this.span * factor, SHORTEST), this.high - this.low);
    const from = at - (x / this.width) * span;
    this.show(from, from + span);
  }

  /** @param {number} pixels */
  pan(pixels) {
    const by = pixels * this.pixel;
    this.show(this.from + by, this.to + by);
  }
}

/**
 * Round times for a ruler.
 * @param {number} from
 * @param {number} to
 * @param {number} most
 * @returns {{step: number, ticks: number[]}}
 */
export function ticks(from, to, most) {
  const raw = Math.max((to - from) / Math.max(most, 1), 1);
  const steps = [1, 2, 5];
  let step = 0;
  for (let power = 0; !step; power++) {
    const unit = 10 ** power;
    if (unit >= 1e10) {
      step =
        [15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].map((s) => s * 1e9).find((s) => s >= raw) ?? raw;
    } else {
      step = (steps.find((each) => each * unit >= raw) ?? 0) * unit;
    }
  }
  const out = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) out.push(k * step);
  return { step, ticks: out };
}

/** A span in words: three digits and a unit. @param {number} ns */
export function span(ns) {
  if (!Number.isFinite(ns)) return "unknown";
  const size = Math.abs(ns);
  for (const [unit, scale] of /** @type {[string, number][]} */ ([
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ])) {
    if (size >= scale * 0.9995) return `${digits(ns / scale)} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  return size >= 999.5 ? commas(Math.round(value)) : String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
}

/** A time since the first record, with as many digits as a step needs. @param {number} ns @param {number} step */
export function since(ns, step) {
  const sign = ns < 0 ? "−" : "";
  const size = Math.abs(ns);
  if (step >= 6e10) {
    const seconds = Math.round(size / 1e9);
    return `${sign}${Math.floor(seconds / 60)} min${seconds % 60 ? ` ${seconds % 60} s` : ""}`;
  }
  const unit =
    size >= 1e9 || step >= 1e8 ? 1e9 : size >= 1e6 || step >= 1e5 ? 1e6 : size >= 1e3 || step >= 1e2 ? 1e3 : 1;
  const name = unit === 1e9 ? "s" : unit === 1e6 ? "ms" : unit === 1e3 ? "µs" : "ns";
  const places = Math.max(0, Math.round(Math.log10(unit)) - Math.floor(Math.log10(Math.max(step, 1))));
  return `${sign}${(size / unit).toFixed(places)} ${name}`;
}

/**
 * Time of day of a moment, UTC offset of this place.
 * @param {bigint} t0
 * @param {number} ns
 * @param {number} places Of seconds.
 */
export function clockTime(t0, ns, places = 6) {
  const at = t0 + BigInt(Math.round(ns));
  const date = new Date(Number(at / 1000000n));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const part = String(((at % 1000000000n) + 1000000000n) % 1000000000n)
    .padStart(9, "0")
    .slice(0, places);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${places ? `.${part}` : ""}`;
}

/** @param {number} n */
export function bytes(n) {
  for (const [unit, scale] of /** @type {[string, number][]} */ ([
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ])) {
    if (n >= scale) return `${digits(n / scale)} ${unit}`;
  }
  return `${n} B`;
}

const COUNTS = new Intl.NumberFormat("en"); // `toLocaleString` makes one each time, which takes longer than all else

/** A count, with commas. @param {number} n */
export function commas(n) {
  return COUNTS.format(n);
}
