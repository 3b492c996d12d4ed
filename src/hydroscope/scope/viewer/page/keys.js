/**
 * The keys: what each of them does, and what the help says of it.
 */

import { acrossLanes, alongLane, otherEnd } from "./walk.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./pane.js").Pane} Pane */
/** @typedef {(app: App, pane: Pane) => void} Does */
/**
 * @typedef {object} Told One line of the help.
 * @property {string} keys As they are shown, two blanks apart.
 * @property {string} text
 * @property {Record<string, Does>} [does] By the name of the key; none: only the pointer does it.
 */

/** How much nearer a key takes. */
const NEARER = 0.7;

/** Parts of the page's width that a key moves by. */
const PART = 1 / 6;

const zoom = (/** @type {number} */ factor) => (/** @type {App} */ _, /** @type {Pane} */ pane) => pane.zoom(factor);
const pan = (/** @type {number} */ share) => (/** @type {App} */ _, /** @type {Pane} */ pane) =>
  pane.pan(share * pane.scene.view.width);
const walk =
  (/** @type {typeof alongLane} */ to, /** @type {number} */ way) =>
  (/** @type {App} */ app, /** @type {Pane} */ pane) =>
    app.go(to(pane.scene, way));

export const KEYS = /** @type {[string, Told[]][]} */ ([
  [
    "Move",
    [
      { keys: "w  s  or wheel", text: "zoom in, out", does: { w: zoom(NEARER), s: zoom(1 / NEARER) } },
      { keys: "+  -", text: "the same", does: { "+": zoom(NEARER), "-": zoom(1 / NEARER) } },
      { keys: "a  d  or drag", text: "earlier, later", does: { a: pan(-PART), d: pan(PART) } },
      { keys: "W  S", text: "zoom by more", does: { W: zoom(NEARER / 2), S: zoom(2 / NEARER) } },
      { keys: "A  D", text: "earlier, later by more", does: { A: pan(-4 * PART), D: pan(4 * PART) } },
      { keys: "⇧ wheel", text: "up and down the lanes" },
      { keys: "Ctrl drag", text: "zoom to a stretch" },
      { keys: "double click", text: "zoom to a task, or to what is there" },
      { keys: "0", text: "all of it", does: { 0: (app) => app.fitAll() } },
      { keys: "f", text: "zoom to the selected record", does: { f: (app, pane) => pane.fit(otherEnd(pane.scene)) } },
      { keys: "Backspace", text: "back to the view before", does: { Backspace: (_, pane) => pane.goBack() } },
    ],
  ],
  [
    "Records",
    [
      {
        keys: "←  →",
        text: "record before, after, in the same lane",
        does: { ArrowLeft: walk(alongLane, -1), ArrowRight: walk(alongLane, 1) },
      },
      {
        keys: "↑  ↓",
        text: "nearest record in the lane above, below",
        does: { ArrowUp: walk(acrossLanes, -1), ArrowDown: walk(acrossLanes, 1) },
      },
      {
        keys: "p",
        text: "other end of the message or task",
        does: { p: (app, pane) => app.go(otherEnd(pane.scene)) },
      },
      {
        keys: "m  or ⇧ click",
        text: "mark; then select another to measure",
        does: { m: (app, pane) => app.mark(pane) },
      },
      { keys: "Esc", text: "select nothing", does: { Escape: (app, pane) => app.clear(pane) } },
    ],
  ],
  [
    "Find",
    [
      { keys: "/", text: "search", does: { "/": (app) => app.finder.search.select() } },
      {
        keys: "n  N",
        text: "next, previous match",
        does: { n: (app) => app.finder.go(1), N: (app) => app.finder.go(-1) },
      },
      {
        keys: "j  k",
        text: "next, previous finding",
        does: { j: (app) => app.goFinding(1), k: (app) => app.goFinding(-1) },
      },
    ],
  ],
  [
    "Show",
    [
      {
        keys: "e  c",
        text: "open, close all nodes",
        does: { e: (_, pane) => pane.openAll(true), c: (_, pane) => pane.openAll(false) },
      },
      {
        keys: ",  .",
        text: "state: change before, next change",
        does: { ",": (app) => app.state?.step(-1), ".": (app) => app.state?.step(1) },
      },
      {
        keys: "1  2  3  4",
        text: "findings, event, what is shown, state",
        does: {
          1: (app) => app.panels.open("findings"),
          2: (app) => app.panels.open("event"),
          3: (app) => app.panels.open("show"),
          4: (app) => app.state && app.panels.open("state"),
        },
      },
      { keys: "t", text: "light or dark", does: { t: (app) => app.flipTheme() } },
      { keys: "?", text: "this", does: { "?": (app) => app.help() } },
    ],
  ],
]);

/** What each key does, by its name. @type {Map<string, Does>} */
export const DOES = new Map(KEYS.flatMap(([, rows]) => rows.flatMap(({ does }) => Object.entries(does ?? {}))));
