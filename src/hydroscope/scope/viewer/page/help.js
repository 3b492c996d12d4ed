/**
 * The keys, and what the shapes mean.
 */

import { make } from "./dom.js";
import { KEYS } from "./keys.js";

const SEARCHES = /** @type {[string, string][]} */ ([
  ["prepare", "anything that has this word"],
  ["kind:sent peer:n3", "all of these"],
  ["-label:ping", "without"],
  ["/time ?out/i", "regular expression"],
  ["took>5ms  bytes>=2kB", "messages and tasks"],
  ["key:cart  task:load  lane:main  id:17", "by field"],
]);

const READING = [
  "● sent  ○ received  ◉ sent again  ✕ dropped  ■ put  □ removed  ▲ error  ◆ note. A broken arrow with a cross has " +
    "no receipt. Where records are too many they become heights; red is always drawn.",
  "Times are corrected: clocks are compared by the messages themselves. ± is how far a time may be off, and whiskers " +
    "show it where there is room; the order of cause and effect holds whatever the clocks did.",
  "Selected: blue is what can have caused it, orange what it can have caused, and in the shade is what happened " +
    "independently. Hatched: nothing was recorded.",
  "Drop another page of hydroscope here to compare: it is shown below, with the first divergence marked.",
];

/** @param {() => void} onClose */
export function helpDialog(onClose) {
  const table = (/** @type {[string, string][]} */ rows) =>
    make(
      "dl",
      {},
      rows.flatMap(([keys, text]) => [
        make(
          "dt",
          {},
          keys.split("  ").flatMap((key, k) => [k ? " " : "", make("kbd", { text: key })]),
        ),
        make("dd", { text }),
      ]),
    );
  const dialog = make("dialog", { class: "help", "aria-label": "Help", close: onClose }, [
    make("form", { method: "dialog" }, [make("button", { class: "close", text: "✕", "aria-label": "Close" })]),
    make("div", { class: "columns" }, [
      ...KEYS.map(([name, rows]) =>
        make("section", {}, [make("h2", { text: name }), table(rows.map(({ keys, text }) => [keys, text]))]),
      ),
      make("section", { class: "wide" }, [make("h2", { text: "Search" }), table(SEARCHES)]),
      make("section", { class: "wide" }, [
        make("h2", { text: "Reading it" }),
        ...READING.map((text) => make("p", { text })),
      ]),
    ]),
  ]);
  return dialog;
}
