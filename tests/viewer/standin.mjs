/**
 * A small stand-in for a browser: elements, events, frames and timers that are run when they are asked to, and canvases
 * that remember what was drawn on them since they were last cleared for a picture. It knows what the viewer uses and no more:
 * whatever else is called fails. Markup cannot be parsed, so text that became markup would fail, too.
 */

const NAMED = /^([a-z0-9]*)((?:\.[\w-]+)*)((?:\[[\w-]+(?:="[^"]*")?\])*)$/;

class Style {
  setProperty(name, value) {
    this[name] = value;
  }
}

class Happening {
  constructor(type, has = {}) {
    Object.assign(this, { type, button: 0, buttons: 0, pointerId: 1, deltaX: 0, deltaY: 0, deltaMode: 0 }, has);
    this.defaultPrevented = false;
    this.isStopped = false;
  }

  preventDefault() {
    this.defaultPrevented = true;
  }

  stopPropagation() {
    this.isStopped = true;
  }
}

class Target {
  constructor() {
    this.listeners = new Map();
  }

  addEventListener(type, listener) {
    if (!this.listeners.has(type)) this.listeners.set(type, []);
    this.listeners.get(type).push(listener);
  }

  removeEventListener(type, listener) {
    this.listeners.set(
      type,
      (this.listeners.get(type) ?? []).filter((each) => each !== listener),
    );
  }

  dispatchEvent(event) {
    event.target ??= this;
    for (let at = this; at && !event.isStopped; at = at.parentNode ?? (at === document ? null : document)) {
      for (const listener of [...(at.listeners.get(event.type) ?? [])]) listener(event);
      if (BUBBLES_NOT.has(event.type)) return;
    }
  }
}

const BUBBLES_NOT = new Set(["focus", "blur", "close", "pointerleave", "scroll", "toggle"]);

class Text {
  constructor(text) {
    this.textContent = String(text);
    this.parentNode = null;
  }
}

class HTMLElement extends Target {
  constructor(tag) {
    super();
    this.tagName = tag.toUpperCase();
    this.attributes = new Map();
    this.childNodes = [];
    this.parentNode = null;
    this.style = new Style();
    this.dataset = {};
    this.size = { width: 0, height: 0 };
    this.scrolled = 0;
    this.hidden = false;
    this.classList = {
      has: (name) => (this.attributes.get("class") ?? "").split(" ").includes(name),
      add: (name) => this.classList.toggle(name, true),
      remove: (name) => this.classList.toggle(name, false),
      toggle: (name, isOn = !this.classList.has(name)) => {
        const names = (this.attributes.get("class") ?? "").split(" ").filter((each) => each && each !== name);
        this.attributes.set("class", [...names, ...(isOn ? [name] : [])].join(" "));
      },
    };
  }

  get children() {
    return this.childNodes.filter((each) => each instanceof HTMLElement);
  }

  get className() {
    return this.attributes.get("class") ?? "";
  }

  set className(value) {
    this.attributes.set("class", value);
  }

  get textContent() {
    return this.childNodes.map((each) => each.textContent).join("");
  }

  set textContent(text) {
    this.replaceChildren(...(text === "" ? [] : [text]));
  }

  set innerHTML(markup) {
    throw new Error(`text became markup: ${markup}`);
  }

  get disabled() {
    return this.attributes.has("disabled");
  }

  get scrollTop() {
    return this.scrolled;
  }

  set scrollTop(top) {
    const spacer = this.querySelector(".spacer");
    const most = spacer ? parseFloat(spacer.style.height ?? "0") : Infinity;
    this.scrolled = Math.min(Math.max(top, 0), most);
  }

  get isConnected() {
    for (let at = this; at; at = at.parentNode) if (at === document.documentElement) return true;
    return false;
  }

  get clientWidth() {
    return this.classList.has("plot") ? window.plot.width : this.size.width;
  }

  get clientHeight() {
    return this.classList.has("body") ? window.plot.height : this.size.height;
  }

  get offsetWidth() {
    return this.classList.has("tip") ? 6 * this.textContent.length : this.clientWidth;
  }

  get offsetHeight() {
    return this.classList.has("tip") ? 60 : this.clientHeight;
  }

  setAttribute(name, value) {
    this.attributes.set(name, String(value));
    if (name === "value") this.value = String(value);
    if (name === "hidden") this.hidden = true;
    if (name.startsWith("data-")) this.dataset[name.slice(5)] = String(value);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  append(...inside) {
    for (const each of inside) this.#put(each, this.childNodes.length);
  }

  prepend(...inside) {
    inside.forEach((each, k) => this.#put(each, k));
  }

  #put(each, at) {
    const node = each instanceof HTMLElement || each instanceof Text ? each : new Text(each);
    node.parentNode?.removeChild(node);
    node.parentNode = this;
    this.childNodes.splice(at, 0, node);
  }

  removeChild(node) {
    if (
      document.activeElement !== document.body &&
      node instanceof HTMLElement &&
      node.contains(document.activeElement)
    )
      document.activeElement = document.body;
    this.childNodes = this.childNodes.filter((each) => each !== node);
    node.parentNode = null;
  }

  replaceChildren(...inside) {
    for (const each of this.childNodes) this.removeChild(each);
    this.append(...inside);
  }

  replaceWith(...others) {
    const at = this.parentNode.childNodes.indexOf(this);
    const parent = this.parentNode;
    parent.removeChild(this);
    others.forEach((each, k) => parent.#put(each, at + k));
  }

  remove() {
    this.parentNode?.removeChild(this);
  }

  contains(node) {
    for (let at = node; at; at = at.parentNode) if (at === this) return true;
    return false;
  }

  matches(selector) {
    const [, tag, classes, attributes] = NAMED.exec(selector);
    const pairs = [...attributes.matchAll(/\[([\w-]+)(?:="([^"]*)")?\]/g)];
    return (
      (!tag || this.tagName === tag.toUpperCase()) &&
      classes.split(".").every((name) => !name || this.classList.has(name)) &&
      pairs.every(
        ([, name, value]) => this.attributes.has(name) && (value === undefined || this.getAttribute(name) === value),
      )
    );
  }

  querySelectorAll(selectors) {
    const [first, ...rest] = selectors.split(" ");
    const found = [];
    const walk = (element) => {
      for (const each of element.children) {
        if (each.matches(first)) found.push(each);
        walk(each);
      }
    };
    walk(this);
    return rest.length ? [...new Set(found.flatMap((each) => each.querySelectorAll(rest.join(" "))))] : found;
  }

  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  focus() {
    if (!this.isConnected || document.activeElement === this) return;
    document.activeElement = this;
    this.dispatchEvent(new Happening("focus"));
  }

  get open() {
    return this.attributes.has("open");
  }

  set open(isOpen) {
    if (isOpen) this.attributes.set("open", "");
    else this.attributes.delete("open");
  }

  click() {
    if (this.disabled) return;
    this.dispatchEvent(new Happening("click"));
    if (this.tagName !== "SUMMARY") return;
    this.parentNode.open = !this.parentNode.open;
    this.parentNode.dispatchEvent(new Happening("toggle"));
  }

  setPointerCapture() {}

  scrollIntoView() {}

  showModal() {
    this.open = true;
  }
}

class HTMLInputElement extends HTMLElement {
  value = "";
  checked = false;
  error = "";

  get type() {
    return this.getAttribute("type") ?? "text";
  }

  setCustomValidity(message) {
    this.error = message;
  }

  select() {
    this.focus();
  }

  click() {
    if (this.type === "checkbox") {
      this.checked = !this.checked;
      this.dispatchEvent(new Happening("change"));
    }
    super.click();
  }
}

/** What is drawn: each call with the style that it was drawn in, at its place on the page. */
class Canvas extends HTMLElement {
  width = 300;
  height = 150;
  calls = [];
  pen = null;

  getContext() {
    return (this.pen ??= pen(this));
  }
}

const TRACES = new Set(["moveTo", "lineTo", "arc", "rect", "quadraticCurveTo"]);

function pen(canvas) {
  const at = { dx: 0, dy: 0, path: [], dash: [] };
  const state = { fillStyle: "", strokeStyle: "", globalAlpha: 1, lineWidth: 1, font: "", textBaseline: "" };
  const told = (name, given) => {
    for (const value of given) if (typeof value === "number" && Number.isNaN(value)) throw new Error(`${name} got NaN`);
    const isStroke = name.startsWith("stroke");
    const style = isStroke ? state.strokeStyle : state.fillStyle;
    if (!style) throw new Error(`${name} without a style`);
    canvas.calls.push({
      name,
      given,
      style: style.pattern ? "hatching" : style,
      alpha: state.globalAlpha,
      dash: at.dash,
    });
  };
  const moved = ([x, y, ...rest]) => [x + at.dx, y + at.dy, ...rest];
  const does = {
    setTransform: () => {
      canvas.calls = [];
      Object.assign(at, { dx: 0, dy: 0 });
    },
    scale: () => {},
    save: () => (at.kept = [at.dx, at.dy]),
    restore: () => ([at.dx, at.dy] = at.kept),
    translate: (dx, dy) => Object.assign(at, { dx: at.dx + dx, dy: at.dy + dy }),
    beginPath: () => (at.path = []),
    setLineDash: (dash) => (at.dash = dash),
    measureText: (text) => ({ width: 6 * text.length }),
    createPattern: () => ({ pattern: true }),
    clearRect: () => {},
    drawImage: () => {},
    fillText: (text, ...place) => told("fillText", [text, ...moved(place)]),
    fill: () => told("fill", [at.path]),
    stroke: () => told("stroke", [at.path]),
  };
  for (const name of ["fillRect", "strokeRect"]) does[name] = (...given) => told(name, moved(given));
  for (const name of TRACES) {
    does[name] = (...given) => {
      if (given.some(Number.isNaN)) throw new Error(`${name} got NaN`);
      const [x, y, ...rest] = moved(given);
      at.path.push([name, x, y, ...(name === "quadraticCurveTo" ? moved(rest) : rest)]);
    };
  }
  return new Proxy(state, {
    get: (_, name) => {
      if (name in does) return does[name];
      if (name in state) return state[name];
      throw new Error(`the stand-in's canvas has no ${String(name)}`);
    },
    set: (_, name, value) => {
      if (!(name in state)) throw new Error(`the stand-in's canvas has no ${String(name)}`);
      state[name] = value;
      return true;
    },
  });
}

const MADE = { input: HTMLInputElement, canvas: Canvas };

let frames = new Map();
let timers = new Map();
let observers = [];
let now = 0;
let number = 0;

const later = (list) => (does) => {
  list().set(++number, does);
  return number;
};

/** Put a new, empty page in place of whatever there was. */
export function newPage({ width = 1000, height = 600, dark = false, still = true } = {}) {
  frames = new Map();
  timers = new Map();
  observers = [];
  const page = new Target();
  Object.assign(globalThis, {
    HTMLElement,
    HTMLInputElement,
    document: page,
    window: { devicePixelRatio: 1, plot: { width, height }, setTimeout: later(() => timers) },
    requestAnimationFrame: later(() => frames),
    cancelAnimationFrame: (which) => frames.delete(which),
    clearTimeout: (which) => timers.delete(which),
    matchMedia: (query) => ({ matches: query.includes("dark") ? dark : still, addEventListener: () => {} }),
    getComputedStyle: () => ({ getPropertyValue: (name) => `${isDark(dark) ? "dark " : ""}${name.slice(2)}` }),
    ResizeObserver: class {
      constructor(does) {
        this.does = does;
      }
      observe() {
        observers.push(this.does);
      }
      disconnect() {
        observers = observers.filter((each) => each !== this.does);
      }
    },
  });
  performance.now = () => now;
  page.createElement = (tag) => new (MADE[tag] ?? HTMLElement)(tag);
  page.documentElement = new HTMLElement("html");
  page.body = new HTMLElement("body");
  page.activeElement = page.body;
  page.documentElement.append(page.body);
  page.querySelectorAll = (selector) => page.documentElement.querySelectorAll(selector);
  const place = new HTMLElement("div");
  page.body.append(place);
  return place;
}

function isDark(asSystem) {
  return (document.documentElement.dataset.theme ?? (asSystem ? "dark" : "light")) === "dark";
}

/** Run what waits for a frame, a timer or the size of the page, until nothing does. */
export function settle() {
  for (let turn = 0; observers.some((does) => !does.told) || frames.size || timers.size; turn++) {
    if (turn > 200) throw new Error("the page never comes to rest");
    now += 16;
    for (const does of observers.filter((each) => !each.told)) {
      does.told = true;
      does();
    }
    const [due, late] = [frames, timers];
    frames = new Map();
    timers = new Map();
    for (const does of due.values()) does(now);
    for (const does of late.values()) does();
  }
}

/** Something happens to an element. @returns {boolean} Whether the page did anything about it. */
export function happen(element, type, has = {}) {
  const event = new Happening(type, has);
  element.dispatchEvent(event);
  return event.defaultPrevented;
}
