/**
 * One picture of the lanes. What a frame draws is bounded by the size of the page, not by the number of records.
 */

import { drawArrows, drawSpine } from "./arrows.js";
import { FOUND, HIDDEN } from "./counts.js";
import { drawGround } from "./ground.js";
import { drawHeights } from "./heights.js";
import { ring, useFont } from "./ink.js";
import { GAP } from "./layout.js";
import { drawMark } from "./marks.js";
import { drawBars } from "./tasks.js";
import { colourOf } from "./theme.js";
import { KIND } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {CanvasRenderingContext2D} Context */

const MARKS = 5000;
const TEXT_ROOM = 26;
const LONGEST_TEXT = 48;

/** Kinds whose labels would say nothing beside their marks. */
const UNTOLD = new Set([KIND.STARTED, KIND.ENDED, KIND.SAMPLE, KIND.CLOCK]);

/** @param {Context} ctx @param {Scene} scene */
export function draw(ctx, scene) {
  const { layout, view, colour, height, scrollY } = scene;
  ctx.fillStyle = colour.bg;
  ctx.fillRect(0, 0, view.width, height);
  useFont(ctx);
  ctx.save();
  ctx.translate(0, -scrollY);
  const slots = layout.visible(scrollY, scrollY + height);
  if (scene.trace.n) drawGrid(ctx, scene);
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
  const hasWhy = slot.lane < 0 && trace.nodes[slot.node].why; // which is written behind the last record
  let nextX = hasWhy ? view.x(trace.time[trace.starts[slot.node + 1] - 1]) : Infinity;
  for (let k = last - 1; k >= first; k--) {
    const i = records[k];
    if (mask[i] & HIDDEN) continue;
    const x = view.x(trace.time[i]);
    const own = colourOf(trace, colours, colour, i);
    if (whiskers) drawWhisker(ctx, scene, i, x, y);
    if (mask[i] & FOUND) ring(ctx, x, y, 7.5, colour.hit, 2);
    if (scene.guilty.has(i)) ring(ctx, x, y, 7, colour.trouble, 1.5);
    const isBar = trace.kind[i] === KIND.STARTED || (trace.kind[i] === KIND.ENDED && trace.begun[i] >= 0);
    if (!(isBar && slot.barRows)) drawMark(ctx, trace.kind[i], x, y, own, colour.bg);
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

/** Light on what can have caused a record, and on what it can have caused; the rest in the shade. */
function drawCone(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot[]} */ slots) {
  const { trace, view, colour } = scene;
  const lit = /** @type {import("./cones.js").Cone} */ (scene.cone);
  slots.forEach((slot, k) => {
    const { y } = slot;
    const height = (slots[k + 1]?.y ?? y + slot.height + GAP) - y; // with the gap below it
    const [begin, stop] = [trace.starts[slot.node], trace.starts[slot.node + 1]];
    const past = lit.past[slot.node];
    const future = lit.future[slot.node];
    const own = slot.node === trace.node[lit.record];
    const left = past > begin ? view.x(trace.time[past - 1]) + (own ? 0 : 4) : -1;
    const right = future < stop ? view.x(trace.time[future]) - (own ? 0 : 4) : view.width + 1;
    ctx.globalAlpha = 0.1;
    ctx.fillStyle = colour.past;
    if (left > 0) ctx.fillRect(0, y, Math.min(left, view.width), height);
    ctx.fillStyle = colour.future;
    if (right < view.width) ctx.fillRect(Math.max(right, 0), y, view.width - Math.max(right, 0), height);
    ctx.globalAlpha = 0.72;
    ctx.fillStyle = colour.bg;
    const [from, to] = [Math.max(left, 0), Math.min(right, view.width)];
    if (to > from) ctx.fillRect(from, y, to - from, height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour.past;
    if (left > 0 && left < view.width) ctx.fillRect(left - 1, y, 2, height);
    ctx.fillStyle = colour.future;
    if (right > 0 && right < view.width) ctx.fillRect(right - 1, y, 2, height);
  });
}
