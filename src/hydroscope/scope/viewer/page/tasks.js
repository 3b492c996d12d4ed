/**
 * Tasks as bars.
 */

import { visibleBars } from "./bars.js";
import { FOUND, HIDDEN } from "./counts.js";
import { BAR_HEIGHT, LANE_HEIGHT } from "./layout.js";
import { colourOf } from "./theme.js";
import { KIND } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {CanvasRenderingContext2D} Context */

/** Tasks. */
export function drawBars(/** @type {Context} */ ctx, /** @type {Scene} */ scene, /** @type {Slot} */ slot) {
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
      if (trace.ended[record] < 0 && right <= view.width && width > 8) ragged(ctx, right, y, colour.row);
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
