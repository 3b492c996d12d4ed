/**
 * What is above the lanes and changes with each movement of the pointer: cursor, selection, measurement, cut.
 */

import { drawOwn } from "./arrows.js";
import { ring, tag, useFont } from "./ink.js";
import { drawMark } from "./marks.js";
import { span } from "./scale.js";
import { colourOf } from "./theme.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {CanvasRenderingContext2D} Context */

/**
 * Whether there is nothing to draw.
 * @param {Scene} scene
 * @param {{x: number, box: [number, number] | null}} pointer
 */
export function isOverlayEmpty({ selected, marked, divergence, cut }, { x, box }) {
  return x < 0 && !box && selected < 0 && marked < 0 && divergence < 0 && !cut;
}

/**
 * @param {Context} ctx
 * @param {Scene} scene
 * @param {{x: number, record: number, box: [number, number] | null}} pointer x below 0: not on the page.
 */
export function drawOverlay(ctx, scene, pointer) {
  const { view, height, scrollY, colour, trace } = scene;
  ctx.clearRect(0, 0, view.width, height);
  useFont(ctx);
  if (pointer.x >= 0) {
    ctx.fillStyle = colour.dim;
    ctx.globalAlpha = 0.5;
    ctx.fillRect(Math.round(pointer.x), 0, 1, height);
    ctx.globalAlpha = 1;
  }
  if (pointer.box) {
    ctx.fillStyle = colour.accent;
    ctx.globalAlpha = 0.18;
    ctx.fillRect(Math.min(...pointer.box), 0, Math.abs(pointer.box[1] - pointer.box[0]), height);
    ctx.globalAlpha = 1;
  }
  ctx.save();
  ctx.translate(0, -scrollY);
  if (scene.divergence >= 0) drawDivergence(ctx, scene);
  if (scene.cut) drawCut(ctx, scene);
  if (scene.selected >= 0) {
    drawOwn(ctx, scene, scene.selected);
    drawChosen(ctx, scene, scene.selected, colour.select);
  }
  if (scene.marked >= 0) drawChosen(ctx, scene, scene.marked, colour.accent);
  if (pointer.record >= 0 && pointer.record !== scene.selected) {
    const y = scene.layout.yOf(pointer.record);
    if (!Number.isNaN(y)) ring(ctx, view.x(trace.time[pointer.record]), y, 8, colour.text, 1);
  }
  ctx.restore();
  if (scene.marked >= 0 && scene.selected >= 0 && scene.marked !== scene.selected) drawMeasure(ctx, scene);
}

/** A record that was chosen: a ring, and how far off its time may be. */
function drawChosen(
  /** @type {Context} */ ctx,
  /** @type {Scene} */ scene,
  /** @type {number} */ i,
  /** @type {string} */ style,
) {
  const { trace, view, layout, colour } = scene;
  const x = view.x(trace.time[i]);
  const y = layout.yOf(i);
  if (Number.isNaN(y) || x < -20 || x > view.width + 20) return;
  const half = trace.error(i) / view.pixel;
  if (half > 5) {
    const [left, right] = [Math.max(x - half, -2), Math.min(x + half, view.width + 2)];
    ctx.globalAlpha = 0.16;
    ctx.fillStyle = style;
    ctx.fillRect(left, y - 9, right - left, 18);
    ctx.globalAlpha = 1;
    ctx.fillRect(left, y - 9, 1.5, 18);
    ctx.fillRect(right - 1.5, y - 9, 1.5, 18);
  }
  drawMark(ctx, trace.kind[i], x, y, colourOf(trace, scene.colours, colour, i), colour.bg);
  ring(ctx, x, y, 9, style, 2.5);
}

/** The state's moment: of each node, between two records. */
function drawCut(/** @type {Context} */ ctx, /** @type {Scene} */ scene) {
  const { trace, view, layout, colour } = scene;
  const cut = /** @type {Int32Array} */ (scene.cut);
  ctx.strokeStyle = colour.state;
  ctx.lineWidth = 2;
  ctx.beginPath();
  let isBegun = false;
  for (const slot of layout.slots) {
    const [first, stop] = [trace.starts[slot.node], trace.starts[slot.node + 1]];
    if (first === stop) continue;
    const at = cut[slot.node];
    const left = at > first ? trace.time[at - 1] : view.low;
    const right = at < stop ? trace.time[at] : view.high;
    const time = at === first ? right : Math.min((left + right) / 2, left + 3 * view.pixel);
    const x = Math.min(Math.max(view.x(time), -4), view.width + 4);
    if (isBegun) ctx.lineTo(x, slot.y);
    else ctx.moveTo(x, slot.y);
    ctx.lineTo(x, slot.y + slot.height);
    isBegun = true;
  }
  ctx.stroke();
}

/** Where the other timeline went another way. */
function drawDivergence(/** @type {Context} */ ctx, /** @type {Scene} */ scene) {
  const { trace, view, layout, colour, scrollY, height } = scene;
  const x = view.x(trace.time[scene.divergence]);
  if (x < -200 || x > view.width) return;
  ctx.fillStyle = colour.trouble;
  for (let y = scrollY; y < scrollY + height; y += 8) ctx.fillRect(x - 0.75, y, 1.5, 5);
  const y = layout.yOf(scene.divergence);
  if (!Number.isNaN(y)) ring(ctx, x, y, 11, colour.trouble, 2);
  tag(ctx, colour.bg, "first divergence", x + 5, scrollY + 12, colour.trouble);
}

/** From one record to another. */
function drawMeasure(/** @type {Context} */ ctx, /** @type {Scene} */ scene) {
  const { trace, view, height, colour } = scene;
  const [x1, x2] = [scene.marked, scene.selected].map((i) => view.x(trace.time[i])).sort((a, b) => a - b);
  const y = height - 22;
  ctx.fillStyle = colour.accent;
  const [left, right] = [Math.max(x1, -2), Math.min(x2, view.width + 2)];
  ctx.fillRect(left, y, Math.max(right - left, 1), 1.5);
  ctx.fillRect(left, y - 5, 1.5, 11);
  ctx.fillRect(right - 1.5, y - 5, 1.5, 11);
  const took = Math.abs(trace.time[scene.selected] - trace.time[scene.marked]);
  tag(ctx, colour.bg, span(took), (Math.max(left, 0) + Math.min(right, view.width)) / 2 - 20, y - 12, colour.accent);
}
