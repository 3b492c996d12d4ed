/**
 * The names of nodes and lanes, beside their lines.
 */

import { make } from "./dom.js";
import { bytes, commas, span } from "./scale.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./layout.js").Slot} Slot */

/**
 * Put the names of the lines in view into their place.
 * @param {HTMLElement} place
 * @param {Scene} scene
 * @param {(node: number) => void} onToggle
 */
export function fillGutter(place, scene, onToggle) {
  const { layout, scrollY, height, trace } = scene;
  const key = `${layout.version} ${scrollY} ${height}`;
  if (place.dataset.filled === key) return;
  place.dataset.filled = key;
  const focused = place.contains(document.activeElement) && document.activeElement?.getAttribute("data-node");
  place.replaceChildren(
    ...layout.visible(scrollY, scrollY + height).map((slot) => {
      const style = `top:${slot.y - scrollY}px;height:${slot.height}px`;
      if (slot.lane >= 0) {
        const { name, records } = trace.lanes[slot.lane];
        const shown = name && name !== trace.nodes[slot.node].name ? name : "main";
        return make("div", { class: "lane-name", style, title: `${shown}: ${commas(records.length)} records` }, [
          make("span", { text: shown }),
        ]);
      }
      return nodeName(scene, slot, style, onToggle);
    }),
  );
  if (focused) /** @type {HTMLElement | null} */ (place.querySelector(`button[data-node="${focused}"]`))?.focus();
}

/** @param {Scene} scene @param {Slot} slot @param {string} style @param {(node: number) => void} onToggle */
function nodeName(scene, slot, style, onToggle) {
  const { trace, layout } = scene;
  const about = trace.nodes[slot.node];
  const n = trace.starts[slot.node + 1] - trace.starts[slot.node];
  const isOpen = !layout.closed.has(slot.node);
  const hasLanes = layout.lanesOf[slot.node].length > 0;
  const clock = clockOf(about);
  const badges = [];
  if (about.torn > 1)
    badges.push(
      make("span", { class: "badge", text: `${about.torn} torn`, title: "Records that were begun and never finished" }),
    );
  if (n > 0 && about.why) badges.push(make("span", { class: "badge", text: "not well", title: about.why }));
  if (n === 0) badges.push(make("span", { class: "badge", text: "missing", title: about.why }));
  const title = `${about.name}${about.pid ? `, process ${about.pid}` : ""}: ${commas(n)} records; ${clock.title}`;
  const head = make(
    "button",
    {
      class: "node-name",
      "data-node": slot.node,
      type: "button",
      title,
      "aria-expanded": hasLanes ? String(isOpen) : null,
      click: () => hasLanes && onToggle(slot.node),
    },
    [
      make("span", { class: "twist", text: hasLanes ? (isOpen ? "▾" : "▸") : "", "aria-hidden": "true" }),
      make("span", { class: "name", text: about.name }),
      ...(badges.length
        ? badges
        : [make("span", { class: clock.isKnown ? "clock" : "clock unknown", text: clock.text })]),
    ],
  );
  const inside = [head];
  if (layout.hasCurves.has(slot.node) && isOpen) inside.push(curveText(scene.curves(slot.node).mostMemory));
  return make("div", { class: "node-line", style }, inside);
}

/** @param {import("./trace.js").NodeAbout} about */
function clockOf(about) {
  if (about.reference) return { isKnown: true, text: "reference", title: "its clock is taken as right" };
  if (about.offset_ns === null)
    return { isKnown: false, text: "clock ?", title: "how far its clock is off is not known" };
  if (about.offset_ns === 0 && about.error_ns === 0) {
    return { isKnown: true, text: "same clock", title: "it has the reference's clock" };
  }
  const sign = about.offset_ns < 0 ? "−" : "+";
  const error = span(about.error_ns ?? NaN);
  return {
    isKnown: true,
    text: `${sign}${span(Math.abs(about.offset_ns))} ±${error}`,
    title:
      `its clock is ${span(Math.abs(about.offset_ns))} ${sign === "−" ? "behind" : "ahead of"} the reference's, ` +
      `give or take ${error}, and drifts by ${(about.drift_ppm ?? 0).toFixed(1)} ppm`,
  };
}

/** @param {number} memory At most. */
function curveText(memory) {
  return make("div", { class: "curve-name", title: "Processor time and memory, from samples" }, [
    make("span", { class: "swatch task" }),
    "cpu ",
    make("span", { class: "swatch memory" }),
    `memory ≤ ${bytes(memory)}`,
  ]);
}
