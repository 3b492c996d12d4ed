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
    .map((kind) => choice(KIND_NAMES[kind], kinds[kind], symbol(scene, kind), scene.hiddenKinds, kind));
  const counts = labelCounts(trace);
  const labelRows = counts
    .slice(0, LABELS)
    .map(({ label, count }) =>
      choice(trace.labels[label] || "(none)", count, swatch(scene, label), scene.hiddenLabels, label),
    );
  const nodeRows = trace.nodes.map((about, node) =>
    choice(about.name, trace.starts[node + 1] - trace.starts[node], null, layout.hiddenNodes, node),
  );
  const placed = () => {
    layout.update();
    onLines();
  };
  return make("div", { class: "show" }, [
    group("Kinds", kindRows, onMask),
    group(`Messages and tasks${counts.length > LABELS ? `, ${LABELS} of ${counts.length}` : ""}`, labelRows, onMask),
    group("Nodes", nodeRows, placed),
  ]);
}

/** @typedef {{row: HTMLElement, set: (isOn: boolean) => void, box: HTMLInputElement}} Choice */

/** @param {string} name @param {Choice[]} choices @param {() => void} onChange Told once, however many were changed. */
function group(name, choices, onChange) {
  for (const { box, set } of choices) {
    box.addEventListener("change", () => {
      set(box.checked);
      onChange();
    });
  }
  const all = (/** @type {string} */ text, /** @type {boolean} */ isOn) =>
    make("button", {
      type: "button",
      class: "link",
      text,
      "aria-label": `Show ${text} of ${name}`,
      click: () => {
        for (const { set } of choices) set(isOn);
        onChange();
      },
    });
  return make("fieldset", {}, [
    make("legend", { text: name }),
    make("span", { class: "all" }, [all("all", true), all("none", false)]),
    ...choices.map(({ row }) => row),
  ]);
}

/**
 * @param {string} name
 * @param {number} count
 * @param {HTMLElement | null} sign
 * @param {Set<number>} hidden
 * @param {number} which
 * @returns {Choice}
 */
function choice(name, count, sign, hidden, which) {
  const box = make("input", { type: "checkbox" });
  const set = (/** @type {boolean} */ isOn) => {
    box.checked = isOn;
    if (isOn) hidden.delete(which);
    else hidden.add(which);
  };
  set(!hidden.has(which));
  const row = make("label", { class: "choice", title: name }, [
    box,
    sign,
    make("span", { class: "name", text: name }),
    make("span", { class: "count", text: commas(count) }),
  ]);
  return { row, set, box };
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
