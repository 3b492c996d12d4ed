/**
 * One picture of the lanes. What a frame draws is bounded by the size of the page, not by the number of records.
 */

import { drawArrows, drawSpine } from "./arrows.js";
import { visibleBars } from "./bars.js";
import { FOUND, HIDDEN, HIT, N_CHANNELS } from "./counts.js";
import { BAR_HEIGHT, FLAT_HEIGHT, LANE_HEIGHT, NODE_HEIGHT } from "./layout.js";
import { drawMark } from "./marks.js";
import { span } from "./scale.js";
import { CLASS_COLOURS, colourOf } from "./theme.js";
import { KIND, lowerBound } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {CanvasRenderingContext2D} Context */

const BIN = 2;
const MARKS = 5000;
const TEXT_ROOM = 26;
const LONGEST_TEXT = 48;
const WHY_ROOM = 90;
const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** Kinds whose labels would say nothing beside their marks. */
const UNTOLD = new Set([KIND.STARTED, KIND.ENDED, KIND.SAMPLE, KIND.CLOCK]);

let bins = new Uint32Array(0);

/** @param {Context} ctx @param {Scene} scene */
export function draw(ctx, scene) {
  const { layout, view, colour, height, scrollY } = scene;
  ctx.fillStyle = colour.bg;
  ctx.fillRect(0, 0, view.width, height);
  ctx.font = FONT;
  ctx.textBaseline = "middle";
  ctx.save();
  ctx.translate(0, -scrollY);
  const slots = layout.visible(scrollY, scrollY + height);
  drawGrid(ctx, scene);
  for (const slot of slots) drawGround(ctx, scene, slot);
  const dense = drawSlots(ctx, scene, slots);
  const told = drawArrows(ctx, scene, slots, dense);
  if (scene.cone) {
    drawCone(ctx, scene, slots);
    drawSpine(ctx, scene);
  }
  ctx.restore();
  return told;
}

/** @param {Context} ctx @param {Scene} scene */
function drawGrid(ctx, { view, colour, ticks, scrollY, height }) {
  ctx.fillStyle = colour.faint;
  for (const tick of ticks) ctx.fillRect(Math.round(view.x(tick)), scrollY, 1, height);
}

/** What lies behind records: the row, and where a node has recorded nothing. */
function drawGround(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot} */ slot) {
  const { trace, view, colour } = scene;
  const { y, height, node } = slot;
  if (slot.lane < 0) {
    ctx.fillStyle = colour.row;
    ctx.fillRect(0, y, view.width, height);
  } else {
    ctx.fillStyle = colour.line;
    ctx.fillRect(0, y, view.width, 1);
  }
  const [first, last] = [trace.starts[node], trace.starts[node + 1] - 1];
  if (first > last) {
    hatch(ctx, scene, 0, view.width, slot);
    if (slot.lane < 0) {
      ctx.fillStyle = colour.dim;
      ctx.fillText(`no records: ${trace.nodes[node].why}`, 10, y + Math.min(height, FLAT_HEIGHT) / 2, view.width - 20);
    }
    return;
  }
  const begin = Math.min(view.x(trace.time[first]), view.width);
  const end = Math.max(view.x(trace.time[last]), 0);
  if (begin > 0) hatch(ctx, scene, 0, begin, slot);
  if (end < view.width) hatch(ctx, scene, end, view.width, slot);
  if (slot.lane < 0) drawNode(ctx, scene, slot, begin, end);
}

/** The line of a node: its uncertainty at this zoom, where its clock jumped, its curves. */
function drawNode(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {Slot} */ slot,
  /** @type {number} */ begin,
  /** @type {number} */ end,
) {
  const { trace, view, colour, layout } = scene;
  const about = trace.nodes[slot.node];
  const isFlat = slot.holds;
  const middle = slot.y + (isFlat ? FLAT_HEIGHT : NODE_HEIGHT) / 2;
  if (!isFlat) {
    ctx.fillStyle = colour.line;
    ctx.fillRect(Math.max(begin, 0), middle, Math.min(end, view.width) - Math.max(begin, 0), 1);
    drawUncertainty(ctx, scene, slot, middle);
  }
  if (about.why && end < view.width - WHY_ROOM) {
    const x = Math.max(end, 0) + 8;
    ctx.fillStyle = colour.trouble;
    ctx.fillText(scene.fitted(ctx, about.why, view.width - x - 8), x, middle);
  }
  for (const jump of about.jumps) {
    const x = Math.round(view.x(jump.time));
    if (x < -50 || x > view.width) continue;
    ctx.fillStyle = colour.trouble;
    ctx.fillRect(x, slot.y + 2, 2, slot.height - 4);
    const by = jump.by_ns === null ? "" : ` ${jump.by_ns > 0 ? "+" : "−"}${span(Math.abs(jump.by_ns))}`;
    ctx.fillText(`clock jumped${by}`, x + 5, slot.y + 8);
  }
  if (layout.hasCurves.has(slot.node) && !layout.closed.has(slot.node)) {
    drawCurves(ctx, scene, slot, slot.y + (isFlat ? FLAT_HEIGHT : NODE_HEIGHT));
  }
}

/** How far the corrected time may be off, as wide as it is at this zoom. */
function drawUncertainty(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {Slot} */ slot,
  /** @type {number} */ y,
) {
  const { trace, view, colour } = scene;
  const middle = (view.from + view.to) / 2;
  const near = Math.min(trace.firstAt(slot.node, middle), trace.starts[slot.node + 1] - 1);
  const error = trace.error(near);
  if (error === 0) return;
  const half = error / view.pixel;
  if (half < 3) return;
  const isWide = half * 2 > view.width * 0.6;
  const left = isWide ? 0 : view.width / 2 - half;
  const width = isWide ? view.width : half * 2;
  ctx.globalAlpha = 0.35;
  ctx.fillStyle = colour.accent;
  ctx.fillRect(left, y - 2, width, 5);
  ctx.globalAlpha = 1;
  const text = isWide ? `times of this node are known to ±${span(error)}: wider than this view` : `±${span(error)}`;
  const size = ctx.measureText(text).width + 10;
  ctx.fillStyle = colour.row;
  ctx.fillRect(view.width / 2 - size / 2, y - 8, size, 16);
  ctx.fillStyle = colour.dim;
  ctx.fillText(text, view.width / 2 - size / 2 + 5, y);
}

/** Processor and memory as lines. */
function drawCurves(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {Slot} */ slot,
  /** @type {number} */ top,
) {
  const { view, colour } = scene;
  const curve = scene.curves(slot.node);
  const height = 20;
  const bottom = top + height;
  for (const [values, most, name] of /** @type {[Float64Array, number, string][]} */ ([
    [curve.memory, curve.mostMemory, "memory"],
    [curve.cpu, curve.mostCpu, "task"],
  ])) {
    if (!(most > 0)) continue;
    const first = Math.max(lowerBound(curve.time, view.from) - 1, 0);
    const stop = Math.min(lowerBound(curve.time, view.to) + 1, values.length);
    ctx.beginPath();
    let last = -Infinity;
    for (let k = first; k < stop; k++) {
      const x = view.x(curve.time[k]);
      if (x - last < 0.5) continue;
      const y = bottom - (values[k] / most) * height;
      if (last === -Infinity) ctx.moveTo(x, y);
      else ctx.lineTo(x, y);
      last = x;
    }
    ctx.strokeStyle = colour[name];
    ctx.lineWidth = 1.25;
    ctx.stroke();
  }
}

/** @param {Context} ctx @param {Scene} scene @param {number} left @param {number} right @param {Slot} slot */
function hatch(ctx, { colour, hatching, scrollY }, left, right, slot) {
  ctx.fillStyle = hatching ?? colour.faint;
  ctx.fillRect(left, slot.y + 1, right - left, slot.height - 1);
}

/**
 * Records of all lines: one by one where there is room, else as heights.
 * @returns {Set<Slot>} Those drawn as heights.
 */
function drawSlots(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot[]} */ slots) {
  const { view } = scene;
  const holding = slots.filter((slot) => slot.holds);
  const most = Math.min(view.width / 3, Math.max(30, MARKS / Math.max(holding.length, 1)));
  /** @type {Set<Slot>} */
  const dense = new Set();
  for (const slot of holding) {
    if (slot.barRows) drawBars(ctx, scene, slot);
    const counts = scene.counts(slot);
    const [first, last] = counts.range(view.from - 8 * view.pixel, view.to + 8 * view.pixel);
    if (last - first > most) dense.add(slot);
    else drawMarks(ctx, scene, slot, counts.records, first, last);
  }
  drawHeights(ctx, scene, dense);
  return dense;
}

/** @param {Context} ctx @param {Scene} scene @param {Set<Slot>} dense */
function drawHeights(ctx, scene, dense) {
  const { view, colour } = scene;
  const n = Math.ceil(view.width / BIN);
  const size = n * N_CHANNELS;
  if (bins.length < size * dense.size) bins = new Uint32Array(size * dense.size);
  let most = 1;
  let at = 0;
  for (const slot of dense) {
    const out = bins.subarray(at, (at += size));
    most = Math.max(most, scene.counts(slot).bins(view.from, view.from + n * BIN * view.pixel, n, out));
  }
  at = 0;
  const scale = 1 / Math.sqrt(most);
  for (const slot of dense) {
    const out = bins.subarray(at, (at += size));
    const room = (slot.lane < 0 ? FLAT_HEIGHT : LANE_HEIGHT) - 5;
    const bottom = slot.y + room + 3;
    for (let c = 0; c < CLASS_COLOURS.length; c++) {
      ctx.fillStyle = colour[CLASS_COLOURS[c]];
      drawClass(ctx, out, n, c, room, bottom, scale);
    }
    ctx.fillStyle = colour.hit;
    for (let b = 0; b < n; b++) {
      if (out[b * N_CHANNELS + HIT]) ctx.fillRect(b * BIN - 1, bottom - room, BIN + 2, 4);
    }
  }
}

/** Heights of one class, above those of the classes before; neighbours that are alike in one piece. */
function drawClass(
  /** @type {Context} */ ctx,
  /** @type {Uint32Array} */ out,
  /** @type {number} */ n,
  /** @type {number} */ c,
  /** @type {number} */ room,
  /** @type {number} */ bottom,
  /** @type {number} */ scale,
) {
  let begun = 0;
  let oldTop = 0;
  let oldHeight = 0;
  for (let b = 0; b <= n; b++) {
    let top = 0;
    let height = 0;
    const at = b * N_CHANNELS;
    if (b < n && out[at + c]) {
      let below = 0;
      let sum = 0;
      for (let k = 0; k < CLASS_COLOURS.length; k++) {
        if (k < c) below += out[at + k];
        sum += out[at + k];
      }
      const whole = Math.max(Math.sqrt(sum) * scale * room, 1.5);
      height = Math.round((whole * out[at + c]) / sum);
      if (c === 4) height = Math.max(height, 3); // trouble is seen, however much else there is
      top = Math.round((whole * (below + out[at + c])) / sum);
      height = Math.max(height, 1);
    }
    if (top !== oldTop || height !== oldHeight) {
      if (oldHeight) ctx.fillRect(begun * BIN, bottom - oldTop, (b - begun) * BIN, oldHeight);
      begun = b;
      oldTop = top;
      oldHeight = height;
    }
  }
}

/** Records one by one, with their labels where there is room. */
function drawMarks(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {Slot} */ slot,
  /** @type {Int32Array} */ records,
  /** @type {number} */ first,
  /** @type {number} */ last,
) {
  const { trace, view, colour, mask, colours, layout } = scene;
  const y = layout.markY(slot);
  const isRoomy = last - first <= view.width / TEXT_ROOM;
  const whiskers = last - first <= view.width / 12;
  let nextX = Infinity;
  for (let k = last - 1; k >= first; k--) {
    const i = records[k];
    if (mask[i] & HIDDEN) continue;
    const x = view.x(trace.time[i]);
    const own = colourOf(trace, colours, colour, i);
    if (whiskers) drawWhisker(ctx, scene, i, x, y);
    if (mask[i] & FOUND) ring(ctx, x, y, 7.5, colour.hit, 2);
    if (scene.guilty.has(i)) ring(ctx, x, y, 7, colour.trouble, 1.5);
    if (trace.kind[i] !== KIND.STARTED && (trace.kind[i] !== KIND.ENDED || trace.begun[i] < 0 || !slot.barRows)) {
      drawMark(ctx, trace.kind[i], x, y, own, colour.bg);
    }
    if (isRoomy && !UNTOLD.has(trace.kind[i])) {
      ctx.fillStyle = colour.text;
      drawLabel(ctx, scene, i, x + 9, y, nextX - x - 16);
    }
    nextX = x;
  }
}

/** What a record says, or what it is called, whichever there is room for. */
function drawLabel(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {number} */ i,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ room,
) {
  const { trace } = scene;
  for (const text of [trace.texts[trace.text[i]], trace.labels[trace.label[i]]]) {
    if (text && text.length <= LONGEST_TEXT && scene.textWidth(ctx, text) <= room) {
      ctx.fillText(text, x, y);
      return;
    }
  }
}

/**
 * @param {Context} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} r
 * @param {string} colour
 * @param {number} width
 */
function ring(ctx, x, y, r, colour, width) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 2 * Math.PI);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.stroke();
}

/** Where, by what is known, the record can have been. */
function drawWhisker(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {number} */ i,
  /** @type {number} */ x,
  /** @type {number} */ y,
) {
  const half = scene.trace.error(i) / scene.view.pixel;
  if (!(half >= 6 && half < scene.view.width / 4)) return;
  ctx.fillStyle = scene.colour.dim;
  ctx.globalAlpha = 0.45;
  ctx.fillRect(x - half, y + 7, 2 * half, 1);
  ctx.fillRect(x - half, y + 5, 1, 5);
  ctx.fillRect(x + half - 1, y + 5, 1, 5);
  ctx.globalAlpha = 1;
}

/** Tasks. */
function drawBars(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot} */ slot) {
  const { trace, view, colour, colours, mask } = scene;
  const isThinned = scene.hiddenKinds.has(KIND.STARTED) || (scene.only && scene.hits !== null);
  scene.rows(slot.lane).forEach((row, r) => {
    const y = slot.y + LANE_HEIGHT - 2 + r * BAR_HEIGHT;
    visibleBars(row, view.from, view.to, view.pixel * 1.5, (begin, end, record) => {
      if (record >= 0 ? mask[record] & HIDDEN : isThinned) return;
      const left = Math.max(view.x(begin), -2);
      const right = Math.min(view.x(end), view.width + 2);
      const width = Math.max(right - left, 1);
      ctx.fillStyle = record < 0 ? colour.task : colourOf(trace, colours, colour, record);
      ctx.globalAlpha = record < 0 ? 0.45 : 0.8;
      ctx.fillRect(left, y, width, BAR_HEIGHT - 2);
      ctx.globalAlpha = 1;
      if (record < 0) return;
      if (trace.ended[record] < 0 && right <= view.width) ragged(ctx, right, y, colour.row);
      if (mask[record] & FOUND || scene.guilty.has(record) || scene.selected === record) {
        ctx.strokeStyle =
          scene.selected === record ? colour.select : mask[record] & FOUND ? colour.hit : colour.trouble;
        ctx.lineWidth = 2;
        ctx.strokeRect(left + 1, y + 1, width - 2, BAR_HEIGHT - 4);
      }
      if (width > 30) {
        ctx.fillStyle = colour.bg;
        ctx.fillText(
          scene.fitted(ctx, trace.labels[trace.label[record]], width - 8),
          left + 4,
          y + BAR_HEIGHT / 2 - 0.5,
        );
      }
    });
  });
}

/**
 * The end of a bar whose end is not known.
 * @param {Context} ctx
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 */
function ragged(ctx, x, y, colour) {
  ctx.fillStyle = colour;
  ctx.beginPath();
  for (let k = 0; k < 3; k++) {
    ctx.moveTo(x + 1, y + k * 4.5);
    ctx.lineTo(x - 4, y + k * 4.5 + 2.2);
    ctx.lineTo(x + 1, y + k * 4.5 + 4.4);
  }
  ctx.fill();
}

/** Light on what can have caused a record, and on what it can have caused; the rest in the shade. */
function drawCone(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot[]} */ slots) {
  const { trace, view, colour } = scene;
  const lit = /** @type {import("./cones.js").Cone} */ (scene.cone);
  for (const slot of slots) {
    const [begin, stop] = [trace.starts[slot.node], trace.starts[slot.node + 1]];
    const past = lit.past[slot.node];
    const future = lit.future[slot.node];
    const own = slot.node === trace.node[lit.record];
    const left = past > begin ? view.x(trace.time[past - 1]) + (own ? 0 : 4) : -1;
    const right = future < stop ? view.x(trace.time[future]) - (own ? 0 : 4) : view.width + 1;
    ctx.globalAlpha = 0.1;
    ctx.fillStyle = colour.past;
    if (left > 0) ctx.fillRect(0, slot.y, Math.min(left, view.width), slot.height);
    ctx.fillStyle = colour.future;
    if (right < view.width) ctx.fillRect(Math.max(right, 0), slot.y, view.width - Math.max(right, 0), slot.height);
    ctx.globalAlpha = 0.72;
    ctx.fillStyle = colour.bg;
    const shade = [Math.max(left, 0), Math.min(right, view.width)];
    if (shade[1] > shade[0]) ctx.fillRect(shade[0], slot.y, shade[1] - shade[0], slot.height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour.past;
    if (left > 0 && left < view.width) ctx.fillRect(left - 1, slot.y, 2, slot.height);
    ctx.fillStyle = colour.future;
    if (right > 0 && right < view.width) ctx.fillRect(right - 1, slot.y, 2, slot.height);
  }
}
