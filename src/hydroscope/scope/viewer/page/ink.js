/**
 * What all pictures are drawn with: the font, rings, framed words.
 */

/** @typedef {CanvasRenderingContext2D} Context */

const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** Write as all of the page does. @param {Context} ctx */
export function useFont(ctx) {
  ctx.font = FONT;
  ctx.textBaseline = "middle";
}

/**
 * @param {Context} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} r
 * @param {string} style
 * @param {number} width
 */
export function ring(ctx, x, y, r, style, width) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 2 * Math.PI);
  ctx.strokeStyle = style;
  ctx.lineWidth = width;
  ctx.stroke();
}

/**
 * A word in a frame.
 * @param {Context} ctx
 * @param {string} ground Colour behind it.
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} style
 */
export function tag(ctx, ground, text, x, y, style) {
  const width = ctx.measureText(text).width + 10;
  ctx.fillStyle = ground;
  ctx.fillRect(x - 1, y - 9, width + 2, 18);
  ctx.strokeStyle = style;
  ctx.lineWidth = 1;
  ctx.strokeRect(x, y - 8, width, 16);
  ctx.fillStyle = style;
  ctx.fillText(text, x + 5, y);
}
