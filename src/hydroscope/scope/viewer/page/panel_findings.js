/**
 * What is wrong, the worst first.
 */

import { make } from "./dom.js";
import { commas } from "./scale.js";

/** @typedef {import("./trace.js").Trace} Trace */

const GRAVE = new Set(["rule", "impossible", "failure", "stopped", "unanswered", "never sent", "loss"]);
const MILD = new Set(["torn", "no records", "clocks unknown", "unfinished"]);

/**
 * @param {Trace} trace
 * @param {(record: number, finding: import("./trace.js").Finding) => void} onOpen
 */
export function findingsPanel(trace, onOpen) {
  const list = make("ol", { class: "findings" });
  trace.findings.forEach((finding) => list.append(item(trace, finding, onOpen)));
  return make("div", {}, [
    trace.findings.length ? null : make("p", { class: "good", text: "Nothing is wrong in what was recorded." }),
    trace.findings.length ? explained(trace) : null,
    list,
  ]);
}

/** What came first, in words. @param {Trace} trace */
function explained(trace) {
  const lines = trace.explained.split("\n").filter(Boolean);
  return make("details", { class: "explained" }, [
    make("summary", { text: "What went wrong first" }),
    ...lines.map((line) => make("p", { text: line })),
  ]);
}

/**
 * @param {Trace} trace
 * @param {import("./trace.js").Finding} finding
 * @param {(record: number, finding: import("./trace.js").Finding) => void} onOpen
 */
function item(trace, finding, onOpen) {
  const { records } = finding;
  let at = 0;
  const place = make("span", { class: "place" });
  const tell = () => {
    place.textContent = `${at + 1} / ${commas(records.length)}`;
  };
  const go = (/** @type {number} */ by) => (/** @type {Event} */ event) => {
    event.stopPropagation();
    at = (at + by + records.length) % records.length;
    tell();
    onOpen(records[at], finding);
  };
  tell();
  const weight = GRAVE.has(finding.kind) ? "grave" : MILD.has(finding.kind) ? "mild" : "some";
  return make("li", { class: `finding ${weight}` }, [
    make("button", { type: "button", class: "open", disabled: records.length === 0, click: go(0) }, [
      make("span", { class: "kind", text: finding.kind }),
      make("span", { class: "text", text: finding.text }),
    ]),
    records.length > 1
      ? make("span", { class: "steps" }, [
          make("button", { type: "button", text: "‹", "aria-label": "Record before", click: go(-1) }),
          place,
          make("button", { type: "button", text: "›", "aria-label": "Next record", click: go(1) }),
        ])
      : null,
  ]);
}
