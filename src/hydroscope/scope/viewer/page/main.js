/**
 * Begin: read the timelines that the page holds, and show them.
 */

import { App } from "./app.js";
import { Container } from "./columns.js";
import { embedded } from "./source.js";
import { readTrace } from "./trace.js";

async function begin() {
  const place = /** @type {HTMLElement} */ (document.getElementById("app"));
  const bar = place.querySelector("progress");
  try {
    const traces = [];
    for (const source of embedded(document)) {
      const box = new Container(await source.bytes());
      traces.push({ name: source.name, trace: await readTrace(box, (share) => bar && (bar.value = share)) });
    }
    const app = new App(place);
    for (const { trace, name } of traces) app.add(trace, name);
    app.active?.canvas.focus();
    Object.assign(document.documentElement, { hydroscope: app });
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("first picture")));
  } catch (error) {
    const told = document.createElement("p");
    told.className = "failed";
    told.textContent = /** @type {Error} */ (error).message;
    place.replaceChildren(told);
    throw error;
  }
}

begin();
