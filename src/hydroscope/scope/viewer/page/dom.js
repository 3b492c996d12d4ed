/**
 * Elements of the page.
 */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [has] Attributes; functions are listeners, `text` is its text.
 * @param {(Node | string | null)[]} [inside]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, has = {}, inside = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(has)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...inside.filter((each) => each !== null));
  return element;
}

/**
 * A canvas that is as sharp as the screen.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sized(canvas, width, height, alpha = true) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(Math.round(width * ratio), 1), Math.max(Math.round(height * ratio), 1)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha }));
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  return ctx;
}

/** A button of the bar. @param {string} text @param {string} name @param {() => void} does @param {string} keys */
export function tool(text, name, does, keys) {
  const title = `${name} (${keys})`;
  return make("button", { type: "button", class: "tool", text, title, "aria-label": name, click: does });
}
