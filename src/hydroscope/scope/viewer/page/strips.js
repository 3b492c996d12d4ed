/**
 * The two strips above the lanes: all time with what of it is in view, and the ruler.
 */

import { HIT, N_CHANNELS } from "./counts.js";
import { useFont } from "./ink.js";
import { since, ticks } from "./scale.js";
import { CLASS_COLOURS } from "./theme.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {CanvasRenderingContext2D} Context */

const BIN_WIDTH = 2;

/** All records by time, in heights. @param {Context} ctx @param {Scene} scene @param {number} height */
export function drawAll(ctx, scene, height) {
  const { view, colour, trace } = scene;
  ctx.clearRect(0, 0, view.width, height);
  const n = Math.ceil(view.width / BIN_WIDTH);
  const out = new Uint32Array(n * N_CHANNELS);
  const most = scene.all().bins(view.low, view.high, n, out);
  const room = height - 9;
  for (let b = 0; b < n; b++) {
    let sum = 0;
    for (let c = 0; c < CLASS_COLOURS.length; c++) sum += out[b * N_CHANNELS + c];
    if (!sum) continue;
    const whole = Math.max((Math.sqrt(sum) / Math.sqrt(most)) * room, 1.5);
    let bottom = height;
    for (let c = 0; c < CLASS_COLOURS.length; c++) {
      const part = (whole * out[b * N_CHANNELS + c]) / sum;
      if (!part) continue;
      ctx.fillStyle = colour[CLASS_COLOURS[c]];
      ctx.fillRect(b * BIN_WIDTH, bottom - part, BIN_WIDTH, part);
      bottom -= part;
    }
    if (out[b * N_CHANNELS + HIT]) {
      ctx.fillStyle = colour.hit;
      ctx.fillRect(b * BIN_WIDTH - 1, height - 4, BIN_WIDTH + 2, 4);
    }
  }
  ctx.fillStyle = colour.trouble;
  const scale = view.width / (view.high - view.low);
  for (const finding of trace.findings) {
    if (!finding.records.length) continue;
    const x = (trace.time[finding.records[0]] - view.low) * scale;
    ctx.beginPath();
    ctx.moveTo(x - 4, 0);
    ctx.lineTo(x + 4, 0);
    ctx.lineTo(x, 6);
    ctx.fill();
  }
}

/** What of all is in view. @param {Context} ctx @param {Scene} scene @param {number} height */
export function drawWindow(ctx, { view, colour }, height) {
  const scale = view.width / (view.high - view.low);
  const left = (view.from - view.low) * scale;
  const width = Math.max((view.to - view.from) * scale, 2);
  ctx.fillStyle = colour.bg;
  ctx.globalAlpha = 0.6;
  ctx.fillRect(0, 0, left, height);
  ctx.fillRect(left + width, 0, view.width - left - width, height);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = colour.accent;
  ctx.lineWidth = 1.5;
  ctx.strokeRect(left + 0.5, 0.75, Math.max(width - 1, 1.5), height - 1.5);
}

/** @param {Context} ctx @param {Scene} scene @param {number} height @param {number} cursor x, or -1. */
export function drawRuler(ctx, scene, height, cursor) {
  const { view, colour, trace } = scene;
  ctx.clearRect(0, 0, view.width, height);
  if (!trace.n) return;
  useFont(ctx);
  const found = ticks(view.from, view.to, view.width / 110);
  for (const tick of found.ticks) {
    const x = Math.round(view.x(tick));
    ctx.fillStyle = colour.line;
    ctx.fillRect(x, height - 6, 1, 6);
    ctx.fillStyle = colour.dim;
    const told = since(tick - trace.begin, found.step);
    const isInside = x < view.width - 80 || x + 4 + ctx.measureText(told).width < view.width;
    if (isInside) ctx.fillText(told, x + 4, height / 2);
  }
  if (cursor < 0) return;
  const text = since(view.time(cursor) - trace.begin, view.pixel);
  const width = ctx.measureText(text).width + 12;
  const x = Math.min(Math.max(cursor - width / 2, 0), view.width - width);
  ctx.fillStyle = colour.text;
  ctx.fillRect(x, 2, width, height - 5);
  ctx.fillStyle = colour.bg;
  ctx.fillText(text, x + 6, height / 2);
}
