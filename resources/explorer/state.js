// What is shown, in the address behind the #, so that every view is a link and the back button works.
"use strict";
var svdlens = window.svdlens || {};

svdlens.state = (function () {
  // In this order in the address. What is not there has its default.
  const KEYS = [
    "view", // nothing: the grid; search
    "model", "setting", "matrix", "readout",
    "labels", // labeller:rule
    "colour", "side", // of the grid
    "layer", "head", // layer=random: random directions
    "open", // direction
    "only", // which lists of a matrix: interpretable, beyond
    "model2", "setting2", // beside it
    "q", "find", "where", // search: text, tokens or labels, all or here
    "token", // tokens picked among those that match, several
  ];
  let current = {};
  const listeners = [];

  function parse(hash) {
    const found = {};
    const parameters = new URLSearchParams(hash.replace(/^#/, ""));
    for (const key of KEYS) {
      if (key === "token") {
        if (parameters.has(key)) found.token = parameters.getAll(key);
      } else if (parameters.has(key)) found[key] = parameters.get(key);
    }
    return found;
  }

  function address(state) {
    const parameters = new URLSearchParams();
    for (const key of KEYS) {
      const value = state[key];
      if (value === undefined || value === null || value === "") continue;
      for (const one of [].concat(value)) parameters.append(key, one);
    }
    return `#${parameters}`;
  }

  /** The address of what is shown now with some changes; null takes a key out. */
  function link(changes) {
    return address({ ...current, ...changes });
  }

  function go(changes) {
    const target = link(changes);
    if (target === (location.hash || "#")) return;
    location.hash = target;
  }

  function onChange(listener) {
    listeners.push(listener);
  }

  function read() {
    current = parse(location.hash);
    for (const listener of listeners) listener(current);
  }

  function start() {
    window.addEventListener("hashchange", read);
    read();
  }

  return { link, go, onChange, start, parse, address };
})();
