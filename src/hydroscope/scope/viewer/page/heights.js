/**
 * Records as heights by class, where they are too many to be drawn one by one.
 */

import { HIT, N_CHANNELS } from "./counts.js";
import { FLAT_HEIGHT, LANE_HEIGHT } from "./layout.js";
import { CLASS_COLOURS } from "./theme.js";
import { CLASS } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */
/** @typedef {CanvasRenderingContext2D} Context */

const BIN = 2;

/** @param {Context} ctx @param {Scene} scene @param {Set<Slot>} dense */
export function drawHeights(ctx, scene, dense) {
  const { view, colour } = scene;
  const n = Math.ceil(view.width / BIN);
  const size = n * N_CHANNELS;
  const bins = scene.room(size * dense.size);
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
      if (c === CLASS.TROUBLE) height = Math.max(height, 3); // trouble is seen, however much else there is
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
