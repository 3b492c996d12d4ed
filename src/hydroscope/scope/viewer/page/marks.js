/**
 * The shapes of records. Filled is what goes out or comes into being, hollow what comes in or goes away.
 */

import { KIND } from "./trace.js";

const R = 4;

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} kind
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 * @param {string} ground
 */
export function drawMark(ctx, kind, x, y, colour, ground) {
  ctx.fillStyle = colour;
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.75;
  ctx.beginPath();
  switch (kind) {
    case KIND.SENT:
      ctx.arc(x, y, R, 0, 2 * Math.PI);
      ctx.fill();
      break;
    case KIND.RECEIVED:
      ctx.arc(x, y, R - 0.5, 0, 2 * Math.PI);
      ctx.fillStyle = ground;
      ctx.fill();
      ctx.stroke();
      break;
    case KIND.RESENT:
      ctx.arc(x, y, R - 1, 0, 2 * Math.PI);
      ctx.fill();
      ctx.beginPath();
      ctx.arc(x, y, R + 1.5, 0, 2 * Math.PI);
      ctx.stroke();
      break;
    case KIND.DROPPED:
      ctx.moveTo(x - R, y - R);
      ctx.lineTo(x + R, y + R);
      ctx.moveTo(x + R, y - R);
      ctx.lineTo(x - R, y + R);
      ctx.stroke();
      break;
    case KIND.PUT:
    case KIND.SPILLED:
      ctx.fillRect(x - R + 0.5, y - R + 0.5, 2 * R - 1, 2 * R - 1);
      break;
    case KIND.REMOVED:
      ctx.rect(x - R + 1, y - R + 1, 2 * R - 2, 2 * R - 2);
      ctx.fillStyle = ground;
      ctx.fill();
      ctx.stroke();
      break;
    case KIND.FAILED:
      ctx.moveTo(x, y - R - 2);
      ctx.lineTo(x + R + 1.5, y + R);
      ctx.lineTo(x - R - 1.5, y + R);
      ctx.fill();
      ctx.fillStyle = ground;
      ctx.fillRect(x - 0.75, y - 2.5, 1.5, 3.5);
      ctx.fillRect(x - 0.75, y + 1.75, 1.5, 1.5);
      break;
    case KIND.NOTE:
      ctx.moveTo(x, y - R - 1);
      ctx.lineTo(x + R + 1, y);
      ctx.lineTo(x, y + R + 1);
      ctx.lineTo(x - R - 1, y);
      ctx.fill();
      break;
    default:
      ctx.fillRect(x - 0.75, y - R, 1.5, 2 * R);
  }
}
