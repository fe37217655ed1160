// What is shown, in the address behind the #, so that every view is a link and the back button works.
"use strict";
var svdlens = window.svdlens || {};

/**
 * What an address asks for: texts as they stand there.
 * @typedef {Partial<Record<"view" | "model" | "setting" | "matrix" | "readout" | "labels" | "colour" | "side" | "layer" | "head"
 *   | "open" | "only" | "model2" | "setting2" | "first" | "second" | "lists" | "q" | "find" | "where", string>> & {token?: string[]}} Asked
 */
/** @typedef {Partial<Record<keyof Asked, string | number | string[] | null>>} Changes What is to be asked for; null: no more. */

svdlens.state = (function () {
  /** @type {(keyof Asked)[]} In this order in the address. What is not there has its default. */
  const KEYS = [
    "view", // nothing: the grid; search, agreement
    "model", "setting", "matrix", "readout",
    "labels", // labeller:criterion
    "colour", "side", // of the grid
    "layer", "head", // layer=random: random directions
    "open", // direction
    "only", // which lists of a matrix: interpretable, beyond
    "model2", "setting2", // beside it
    "first", "second", "lists", // agreement: two labellers, and which of their lists
    "q", "find", "where", // search: text, tokens or labels, all or here
    "token", // tokens picked among those that match, several
  ];
  /** @type {Asked} */
  let current = {};
  /** @type {((asked: Asked) => void)[]} */
  const listeners = [];

  /**
   * @param {string} hash
   * @returns {Asked}
   */
  function parse(hash) {
    /** @type {Asked} */
    const asked = {};
    const parameters = new URLSearchParams(hash.replace(/^#/, ""));
    for (const key of KEYS) {
      const values = parameters.getAll(key);
      if (!values.length) continue;
      if (key === "token") asked.token = values;
      else asked[key] = values[0];
    }
    return asked;
  }

  /**
   * What an address asks for that this page does not know.
   * @param {string} hash
   */
  function unknownKeys(hash) {
    const keys = new URLSearchParams(hash.replace(/^#/, "")).keys();
    return [...new Set(keys)].filter((key) => !KEYS.some((known) => known === key));
  }

  /** @param {Changes} asked */
  function address(asked) {
    const parameters = new URLSearchParams();
    for (const key of KEYS) {
      const value = asked[key];
      if (value === undefined || value === null || value === "") continue;
      for (const one of Array.isArray(value) ? value : [value]) parameters.append(key, String(one));
    }
    return `#${parameters}`;
  }

  /**
   * The address of what is shown now with some changes.
   * @param {Changes} changes
   */
  function link(changes) {
    return address({ ...current, ...changes });
  }

  /** @param {Changes} changes */
  function go(changes) {
    const target = link(changes);
    if (target === (location.hash || "#")) return;
    location.hash = target;
  }

  /** @param {(asked: Asked) => void} listener */
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

  return { link, go, onChange, start, parse, unknownKeys, address };
})();
