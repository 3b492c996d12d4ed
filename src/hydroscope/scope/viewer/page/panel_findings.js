/**
 * What is wrong, the worst first.
 */

import { make } from "./dom.js";
import { commas } from "./scale.js";

/** @typedef {import("./trace.js").Trace} Trace */

const GRAVE = new Set(["rule", "impossible", "failure", "stopped", "unanswered", "never sent", "loss"]);
const MILD = new Set(["torn", "no records", "clocks unknown", "unfinished"]);
const SHOWN = 5;
const ALL_WELL = "Nothing is wrong in what was recorded.";

/**
 * @param {Trace} trace
 * @param {(record: number, finding: import("./trace.js").Finding) => void} onOpen
 */
export function findingsPanel(trace, onOpen) {
  const list = make("ol", { class: "findings" });
  for (const kind of new Set(trace.findings.map((finding) => finding.kind))) {
    const alike = trace.findings.filter((finding) => finding.kind === kind);
    const n = alike.length > SHOWN + 1 ? SHOWN : alike.length;
    list.append(...alike.slice(0, n).map((finding) => item(trace, finding, onOpen)));
    if (n < alike.length) list.append(rest(alike.slice(n), (finding) => item(trace, finding, onOpen)));
  }
  return make("div", {}, [
    trace.findings.length ? null : make("p", { class: "good", text: trace.n ? ALL_WELL : "Nothing was recorded." }),
    trace.findings.length ? explained(trace) : null,
    list,
  ]);
}

/**
 * Findings that are shown when they are asked for.
 * @param {import("./trace.js").Finding[]} findings
 * @param {(finding: import("./trace.js").Finding) => HTMLElement} itemOf
 */
function rest(findings, itemOf) {
  const text = `${commas(findings.length)} more findings of “${findings[0].kind}”`;
  const place = make("li", { class: "rest" });
  const open = () => place.replaceWith(...findings.map(itemOf));
  place.append(make("button", { type: "button", class: "link", text, click: open }));
  return place;
}

/** What came first, in words. @param {Trace} trace */
function explained(trace) {
  const lines = trace.explained.split("\n").filter(Boolean);
  return make("details", { class: "explained", open: true }, [
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
