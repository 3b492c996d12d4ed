/**
 * Begin: read the timelines that the page holds, and show them.
 */

import { App } from "./app.js";
import { Container } from "./columns.js";
import { decoded, embedded } from "./source.js";
import { readTrace } from "./trace.js";

async function begin() {
  const place = /** @type {HTMLElement} */ (document.getElementById("app"));
  const bar = place.querySelector("progress");
  try {
    const traces = [];
    for (const text of embedded(document)) {
      traces.push(await readTrace(new Container(decoded(text)), (share) => bar && (bar.value = share)));
    }
    const app = new App(place);
    for (const trace of traces) app.add(trace);
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
