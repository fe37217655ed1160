// The explorer's own scripts, loaded as its page loads them, into a browser that has only what the pure parts ask for:
// elements that keep their texts, script elements that read files, an address.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const SCRIPTS = path.join(__dirname, "../../resources/explorer");

class FakeElement {
  constructor(name) {
    this.name = name;
    this.className = "";
    this.children = [];
    this.style = { setProperty() {} };
  }

  append(...children) {
    this.children.push(...children);
  }

  setAttribute(key, value) {
    if (key === "class") this.className = String(value);
    else this[key] = String(value);
  }

  addEventListener(event, listener) {
    this[`on${event}`] = listener;
  }

  set textContent(text) {
    this.children = [text];
  }

  get textContent() {
    return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
  }

  remove() {}
}

/**
 * The part of the explorer that `scripts` make. `files` are the sources of shards by their names, as a Map that a test may
 * change, or a function from a name to a source or a promise of one; undefined is a file that is missing. `asked` are the
 * names asked for so far.
 */
function openPage(scripts, files = new Map()) {
  const asked = [];
  const listeners = [];
  const sourceOf = typeof files === "function" ? files : (name) => files.get(name);
  const location = { hash: "" };
  const document = {
    documentElement: { dataset: { theme: "light" } },
    createElement: (name) => new FakeElement(name),
    createElementNS: (_, name) => new FakeElement(name),
    getElementById: () => new FakeElement("p"),
    head: { append: (script) => setImmediate(loadShard, script) },
  };
  const window = { svdlens: {}, addEventListener: (event, listener) => listeners.push([event, listener]) };
  const globals = { window, document, location };

  function run(source, filename) {
    const { svdlens } = window;
    vm.compileFunction(source, [...Object.keys(globals), "svdlens"], { filename })(...Object.values(globals), svdlens);
  }

  async function loadShard(script) {
    const name = script.src.replace(/^data\//, "").replace(/\.js$/, "").split("/").map(decodeURIComponent).join("/");
    asked.push(name);
    const source = await sourceOf(name);
    if (source === undefined) {
      script.onerror();
      return;
    }
    try {
      run(source, script.src);
    } catch {
      // A browser reports what a script throws, and its load event follows all the same.
    }
    script.onload?.();
  }

  /** Set the address, as a reader does, and tell those who listen. */
  function visit(hash) {
    location.hash = hash;
    for (const [event, listener] of listeners) if (event === "hashchange") listener();
  }

  for (const name of scripts) run(fs.readFileSync(path.join(SCRIPTS, `${name}.js`), "utf-8"), `${name}.js`);
  return { svdlens: window.svdlens, run, asked, location, visit };
}

/** What `promise` comes to, or an error once it has taken longer than any of these tests should. */
async function soon(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, 3000, new Error("it never ended"));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { openPage, soon };
