/**
 * What is shown: kinds of records, labels, nodes; and the legend of their colours.
 */

import { make } from "./dom.js";
import { drawMark } from "./marks.js";
import { commas } from "./scale.js";
import { CLASS_COLOURS, labelCounts } from "./theme.js";
import { CLASS_OF, KIND_NAMES } from "./trace.js";

/** @typedef {import("./scene.js").Scene} Scene */

const LABELS = 40;

/** @param {Scene} scene @param {() => void} onMask @param {() => void} onLines */
export function showPanel(scene, onMask, onLines) {
  const { trace, layout } = scene;
  const kinds = new Uint32Array(KIND_NAMES.length);
  for (let i = 0; i < trace.n; i++) kinds[trace.kind[i]]++;
  const kindRows = [...kinds.keys()]
    .filter((kind) => kinds[kind])
    .map((kind) =>
      choice(KIND_NAMES[kind], kinds[kind], symbol(scene, kind), !scene.hiddenKinds.has(kind), (isOn) => {
        flip(scene.hiddenKinds, kind, isOn);
        onMask();
      }),
    );
  const counts = labelCounts(trace);
  const labelRows = counts.slice(0, LABELS).map(({ label, count }) =>
    choice(trace.labels[label] || "(none)", count, swatch(scene, label), !scene.hiddenLabels.has(label), (isOn) => {
      flip(scene.hiddenLabels, label, isOn);
      onMask();
    }),
  );
  const nodeRows = trace.nodes.map((about, node) =>
    choice(about.name, trace.starts[node + 1] - trace.starts[node], null, !layout.hiddenNodes.has(node), (isOn) => {
      flip(layout.hiddenNodes, node, isOn);
      layout.update();
      onLines();
    }),
  );
  return make("div", { class: "show" }, [
    group("Kinds", kindRows),
    group(`Messages and tasks${counts.length > LABELS ? `, ${LABELS} of ${counts.length}` : ""}`, labelRows),
    group("Nodes", nodeRows),
  ]);
}

/** @param {string} name @param {HTMLElement[]} rows */
function group(name, rows) {
  const set = (/** @type {boolean} */ isOn) => () => {
    for (const row of rows) {
      const box = /** @type {HTMLInputElement} */ (row.querySelector("input"));
      if (box.checked !== isOn) box.click();
    }
  };
  return make("fieldset", {}, [
    make("legend", { text: name }),
    make("span", { class: "all" }, [
      make("button", {
        type: "button",
        class: "link",
        text: "all",
        click: set(true),
        "aria-label": `Show all ${name}`,
      }),
      make("button", {
        type: "button",
        class: "link",
        text: "none",
        click: set(false),
        "aria-label": `Hide all ${name}`,
      }),
    ]),
    ...rows,
  ]);
}

/**
 * @param {string} name
 * @param {number} count
 * @param {HTMLElement | null} sign
 * @param {boolean} isOn
 * @param {(isOn: boolean) => void} onChange
 */
function choice(name, count, sign, isOn, onChange) {
  const box = make("input", { type: "checkbox" });
  box.checked = isOn;
  box.addEventListener("change", () => onChange(box.checked));
  return make("label", { class: "choice", title: name }, [
    box,
    sign,
    make("span", { class: "name", text: name }),
    make("span", { class: "count", text: commas(count) }),
  ]);
}

/** @param {Set<number>} hidden @param {number} which @param {boolean} isOn */
function flip(hidden, which, isOn) {
  if (isOn) hidden.delete(which);
  else hidden.add(which);
}

/** @param {Scene} scene @param {number} label */
function swatch({ colours, colour }, label) {
  const own = colours[label];
  return make("span", { class: "swatch", style: `background:${own >= 0 ? colour[`c${own}`] : colour.message}` });
}

/** The shape of a kind. @param {Scene} scene @param {number} kind */
function symbol({ colour }, kind) {
  const ratio = window.devicePixelRatio || 1;
  const canvas = make("canvas", { width: 16 * ratio, height: 16 * ratio, class: "symbol", "aria-hidden": "true" });
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ctx.scale(ratio, ratio);
  drawMark(ctx, kind, 8, 8, colour[CLASS_COLOURS[CLASS_OF[kind] ?? 3]], colour.bg);
  return canvas;
}
