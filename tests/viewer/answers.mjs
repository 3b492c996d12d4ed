/**
 * Answers about timelines as the viewer's modules see them, in what JSON can say.
 */

import { visibleBars } from "../../src/hydroscope/scope/viewer/page/bars.js";
import { calledHere, firstDivergence } from "../../src/hydroscope/scope/viewer/page/compare.js";
import { relation, spine } from "../../src/hydroscope/scope/viewer/page/cones.js";
import { N_CHANNELS } from "../../src/hydroscope/scope/viewer/page/counts.js";
import { clockTime, since, span, ticks, View } from "../../src/hydroscope/scope/viewer/page/scale.js";
import { Scene } from "../../src/hydroscope/scope/viewer/page/scene.js";
import { compile, find } from "../../src/hydroscope/scope/viewer/page/search.js";
import { cutAt, groupsOf, States } from "../../src/hydroscope/scope/viewer/page/states.js";
import { acrossLanes, alongLane, otherEnd } from "../../src/hydroscope/scope/viewer/page/walk.js";

/** What is answered to some questions: about the first of the timelines, or about both. */
export function answered(traces, questions) {
  const answers = answersOf(
    traces,
    traces.map((trace) => new Scene(trace)),
  );
  return questions.map(([name, ...given]) => answers[name](...given));
}

const answersOf = (traces, [scene], [trace] = traces) => ({
  columns: () => ({
    n: trace.n,
    t0: String(trace.t0),
    time: [...trace.time],
    error: Array.from({ length: trace.n }, (_, i) => (Number.isFinite(trace.error(i)) ? trace.error(i) : null)),
    kind: [...trace.kind],
    node: [...trace.node],
    peer: [...trace.peer],
    lane: [...trace.laneName].map((k) => trace.names[k]),
    subject: [...trace.subject].map((k) => trace.names[k]),
    label: [...trace.label].map((k) => trace.labels[k]),
    text: [...trace.text].map((k) => trace.texts[k]),
    bytes: [...trace.nBytes],
    id: Array.from({ length: trace.n }, (_, i) => String(trace.idOf(i))),
    stamp: Array.from({ length: trace.n }, (_, i) => String(trace.stampOf(i))),
    partner: [...trace.partner],
    rank: [...trace.rank],
    begun: [...trace.begun],
    ended: [...trace.ended],
    data: Array.from({ length: trace.n }, (_, i) => Buffer.from(trace.dataOf(i)).toString("hex")),
    samples: { record: [...trace.samples.record], cpu: [...trace.samples.cpu], memory: [...trace.samples.memory] },
    lanes: trace.lanes.map((lane) => [lane.node, lane.name, [...lane.records]]),
    nodes: trace.nodes,
    findings: trace.findings,
  }),
  cone: (record) => {
    scene.select(record);
    const sides = Array.from({ length: trace.n }, (_, i) => relation(trace, scene.cone, i));
    return { past: [...scene.cone.past], future: [...scene.cone.future], sides, spine: spine(trace, scene.cone) };
  },
  bins: (node, from, to, n) => {
    const slot = { node, lane: -1, y: 0, height: 0, holds: true, barRows: 0 };
    const out = new Uint32Array(n * N_CHANNELS);
    const most = scene.counts(slot).bins(from, to, n, out);
    return { most, bins: [...out] };
  },
  found: (query) => {
    try {
      const test = compile(trace, query);
      return test ? [...find(trace, test)] : null;
    } catch (error) {
      return error.message;
    }
  },
  mask: (kinds, query, only) => {
    scene.hiddenKinds = new Set(kinds);
    const test = compile(trace, query);
    scene.hits = test ? find(trace, test) : null;
    scene.only = only;
    scene.applyMask();
    return [...scene.mask];
  },
  arrows: (from, to, budget) => scene.messages().visible(from, to, budget),
  slow: () => scene.messages().slow.length,
  rows: () => trace.lanes.map((_, lane) => scene.rows(lane).map((row) => [...row.record])),
  bars: (lane, row, from, to, pixel) => {
    const told = [];
    visibleBars(scene.rows(lane)[row], from, to, pixel, (...bar) => told.push(bar));
    return told;
  },
  layout: (closed, hidden) => {
    const { layout } = scene;
    layout.closed = new Set(closed);
    layout.hiddenNodes = new Set(hidden);
    layout.update();
    const places = Array.from({ length: trace.n }, (_, i) => layout.yOf(i)).map((y) => (Number.isNaN(y) ? null : y));
    const hits = layout.slots.map((slot) => layout.slots.indexOf(layout.slotAt(slot.y + slot.height / 2)));
    return { slots: layout.slots, height: layout.height, places, hits, above: layout.slotAt(-5) };
  },
  walk: (record) => {
    scene.selected = record;
    return [-1, 1]
      .map((way) => alongLane(scene, way))
      .concat(
        [-1, 1].map((way) => acrossLanes(scene, way)),
        otherEnd(scene),
      );
  },
  called: () => calledHere(traces[0].nodes, traces[1].nodes),
  divergence: () => firstDivergence(traces[0], traces[1]),
  comparison: () => traces[1].comparison,
  states: (places) => {
    const states = new States(trace.changes);
    return places.map((place) => {
      states.move(place);
      const values = Object.fromEntries(
        states.nodes.map((name, node) => [name, Object.fromEntries(states.items(node))]),
      );
      return {
        values,
        place: states.place,
        stamp: String(states.stampHere()),
        found: states.placeOf(states.stampHere()),
        last: states.last(),
      };
    });
  },
  steps: () => {
    const states = new States(trace.changes);
    const there = [];
    for (let before = -1; before !== states.place;) {
      before = states.place;
      states.step(1);
      there.push(states.place);
    }
    const back = [];
    for (let before = -1; before !== states.place;) {
      before = states.place;
      states.step(-1);
      back.push(states.place);
    }
    return { there, back };
  },
  cut: (stamp) => [...cutAt(trace, BigInt(stamp))],
  groups: (items) => groupsOf(items),
  ticks: (from, to, most) => ticks(from, to, most),
  words: (numbers) => numbers.map((ns) => span(ns)),
  since: (ns, step) => since(ns, step),
  clock: (t0, ns, places) => clockTime(BigInt(t0), ns, places),
  zooms: (begin, end, steps) => {
    const view = new View(begin, end);
    return steps.map(([factor, x, pan]) => {
      const before = view.time(x);
      view.zoom(factor, x);
      const after = view.time(x);
      view.pan(pan);
      return { before, after, from: view.from, to: view.to, low: view.low, high: view.high, pixel: view.pixel };
    });
  },
});
