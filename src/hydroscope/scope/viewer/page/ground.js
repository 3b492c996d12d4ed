/**
 * What lies behind the records: rows, where nothing was recorded, and in a node's line its clock and its curves.
 */

import { FLAT_HEIGHT, NODE_HEIGHT } from "./layout.js";
import { span } from "./scale.js";
import { lowerBound } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {CanvasRenderingContext2D} Context */

const WHY_ROOM = 90;

/** What lies behind records: the row, and where a node has recorded nothing. */
export function drawGround(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot} */ slot) {
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
  if (slot.lane < 0) drawNodeLine(ctx, scene, slot, begin, end);
}

/** The line of a node: its uncertainty at this zoom, where its clock jumped, its curves. */
function drawNodeLine(
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
    const x = Math.max(end, 0) + 14;
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
