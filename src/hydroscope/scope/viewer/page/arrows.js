/**
 * Messages as arrows between lanes.
 */

import { HIDDEN } from "./counts.js";
import { spine } from "./cones.js";
import { colourOf } from "./theme.js";
import { KIND } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {{record: number, x1: number, y1: number, x2: number, y2: number}} Arrow */

const BUDGET = 700;
const BUDGET_DENSE = 300;
const HEADS = 400;
const STUBS = 300;

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Slot[]} slots On the page.
 * @param {Set<Slot>} dense
 * @returns {{share: number, arrows: Arrow[]}} One in how many is there, and where they are.
 */
export function drawArrows(ctx, scene, slots, dense) {
  const { trace, view, mask, colour, colours, scrollY, height } = scene;
  const { records, share } = scene.messages().visible(view.from, view.to, dense.size ? BUDGET_DENSE : BUDGET);
  /** @type {Arrow[]} */
  const arrows = [];
  for (const i of records) {
    const sent = trace.partner[i];
    if (mask[i] & HIDDEN && mask[sent] & HIDDEN) continue;
    const arrow = arrowOf(scene, i);
    if (!arrow || Math.max(arrow.y1, arrow.y2) < scrollY || Math.min(arrow.y1, arrow.y2) > scrollY + height) continue;
    arrows.push(arrow);
  }
  const alpha = Math.min(0.75, Math.max(0.16, 60 / Math.max(arrows.length, 1)));
  const hasHeads = arrows.length <= HEADS;
  ctx.lineWidth = hasHeads ? 1.25 : 1;
  ctx.globalAlpha = scene.cone ? alpha * 0.6 : alpha;
  for (const [style, group] of grouped(arrows, (arrow) =>
    colourOf(trace, colours, colour, trace.partner[arrow.record]),
  )) {
    ctx.strokeStyle = style;
    ctx.fillStyle = style;
    ctx.beginPath();
    for (const arrow of group) line(ctx, arrow);
    ctx.stroke();
    if (hasHeads) {
      ctx.beginPath();
      for (const arrow of group) head(ctx, arrow, 6);
      ctx.fill();
    }
  }
  ctx.globalAlpha = 1;
  drawLost(ctx, scene, slots, dense);
  return { share, arrows };
}

/**
 * Where the arrow of a receipt is; null: one end is hidden.
 * @param {Scene} scene
 * @param {number} receipt
 * @returns {Arrow | null}
 */
export function arrowOf({ trace, view, layout }, receipt) {
  const sent = trace.partner[receipt];
  const y1 = layout.yOf(sent);
  const y2 = layout.yOf(receipt);
  if (Number.isNaN(y1) || Number.isNaN(y2)) return null;
  const edge = 3 * view.width;
  let x1 = view.x(trace.time[sent]);
  let x2 = view.x(trace.time[receipt]);
  let top = y1;
  let bottom = y2;
  if (x1 < -edge) {
    top += ((bottom - top) * (-edge - x1)) / (x2 - x1);
    x1 = -edge;
  }
  if (x2 > edge) {
    bottom -= ((bottom - top) * (x2 - edge)) / (x2 - x1);
    x2 = edge;
  }
  return { record: receipt, x1, y1: top, x2, y2: bottom };
}

/** @param {CanvasRenderingContext2D} ctx @param {Arrow} arrow */
function line(ctx, { x1, y1, x2, y2 }) {
  ctx.moveTo(x1, y1);
  if (Math.abs(y1 - y2) < 1 && x2 - x1 > 8)
    ctx.quadraticCurveTo((x1 + x2) / 2, y1 - Math.min(14, (x2 - x1) / 3), x2, y2);
  else ctx.lineTo(x2, y2);
}

/** @param {CanvasRenderingContext2D} ctx @param {Arrow} arrow @param {number} size */
function head(ctx, { x1, y1, x2, y2 }, size) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length < 14) return;
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [tx, ty] = [x2 - ux * 4.5, y2 - uy * 4.5];
  ctx.moveTo(tx, ty);
  ctx.lineTo(tx - ux * size - uy * size * 0.45, ty - uy * size + ux * size * 0.45);
  ctx.lineTo(tx - ux * size + uy * size * 0.45, ty - uy * size - ux * size * 0.45);
}

/** What was sent and, as far as is known, never arrived: a broken arrow towards whom it was meant for. */
function drawLost(
  /** @type {CanvasRenderingContext2D} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {Slot[]} */ slots,
  /** @type {Set<Slot>} */ dense,
) {
  const { trace, view, layout, mask, colour } = scene;
  let room = STUBS;
  for (const slot of slots) {
    if (!slot.holds || dense.has(slot)) continue;
    const counts = scene.counts(slot);
    const [first, last] = counts.range(view.from, view.to);
    const y = layout.markY(slot);
    for (let k = first; k < last && room > 0; k++) {
      const i = counts.records[k];
      if (mask[i] & HIDDEN || !trace.isSend(i) || trace.partner[i] >= 0 || trace.peer[i] < 0) continue;
      const there = layout.nodeY(trace.peer[i]);
      if (Number.isNaN(there)) continue;
      room--;
      const isLoss = scene.guilty.has(i);
      const x = view.x(trace.time[i]);
      const way = Math.sign(there - y) * Math.min(Math.abs(there - y) * 0.5, 26);
      ctx.strokeStyle = isLoss ? colour.trouble : colour.dim;
      ctx.lineWidth = isLoss ? 1.5 : 1;
      ctx.setLineDash([3, 3]);
      ctx.beginPath();
      ctx.moveTo(x, y + Math.sign(way) * 5);
      ctx.lineTo(x + 7, y + way);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.beginPath();
      ctx.moveTo(x + 4, y + way - 3);
      ctx.lineTo(x + 10, y + way + 3);
      ctx.moveTo(x + 10, y + way - 3);
      ctx.lineTo(x + 4, y + way + 3);
      ctx.stroke();
    }
  }
}

/** The messages by which the selected record's past reached it, and by which its future spreads. */
export function drawSpine(/** @type {CanvasRenderingContext2D} */ ctx, /** @type {Scene} */ scene) {
  const { colour } = scene;
  const found = spine(scene.trace, /** @type {import("./cones.js").Cone} */ (scene.cone));
  for (const [receipts, style] of /** @type {[number[], string][]} */ ([
    [found.past, colour.past],
    [found.future, colour.future],
  ])) {
    ctx.strokeStyle = style;
    ctx.fillStyle = style;
    ctx.lineWidth = 2;
    for (const i of receipts) {
      const arrow = arrowOf(scene, i);
      if (!arrow) continue;
      ctx.beginPath();
      line(ctx, arrow);
      ctx.stroke();
      ctx.beginPath();
      head(ctx, arrow, 9);
      ctx.fill();
    }
  }
}

/**
 * The arrow of the selected record, above all others.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {number} i
 */
export function drawOwn(ctx, scene, i) {
  const { trace, colour } = scene;
  const receipt = trace.isReceipt(i) ? i : trace.partner[i];
  if (receipt < 0 || trace.partner[receipt] < 0 || trace.kind[i] === KIND.STARTED) return;
  const arrow = arrowOf(scene, receipt);
  if (!arrow) return;
  ctx.strokeStyle = colour.select;
  ctx.fillStyle = colour.select;
  ctx.lineWidth = 2.5;
  ctx.beginPath();
  line(ctx, arrow);
  ctx.stroke();
  ctx.beginPath();
  head(ctx, arrow, 10);
  ctx.fill();
}

/**
 * @template T
 * @param {T[]} list
 * @param {(each: T) => string} key
 */
function grouped(list, key) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const each of list) {
    const name = key(each);
    const group = groups.get(name);
    if (group) group.push(each);
    else groups.set(name, [each]);
  }
  return groups;
}
