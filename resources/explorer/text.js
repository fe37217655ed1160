// How numbers and tokens look.
"use strict";
var svdlens = window.svdlens || {};

svdlens.text = (function () {
  const { element } = svdlens.dom;
  const MINUS = "\u2212";
  const MATRICES = { ov: "OV", qk: "QK", mlp_in: "MLP in", mlp_gate: "MLP gate", mlp_out: "MLP out" };
  // Spaces; bytes that are no characters, written \xNN; what cannot be seen, or changes how its neighbours are shown.
  const MARKED = /( )|(\\x[0-9a-f]{2})|([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}]|[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0])/gu;
  const PLAIN = /^ ?[!-[\]-~]+$/;
  const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

  /** A number with its significant digits; none is a dash. */
  function number(value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    if (!Number.isFinite(value)) return value > 0 ? "\u221e" : `${MINUS}\u221e`;
    const magnitude = Math.abs(value);
    const far = magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6);
    let text = far ? magnitude.toExponential(digits - 1) : magnitude.toPrecision(digits);
    if (text.includes("e") && !far) text = String(Number(text));
    return value < 0 ? MINUS + text : text;
  }

  function percent(value, digits = 0) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    return `${value < 0 ? MINUS : ""}${(100 * Math.abs(value)).toFixed(digits)}\u202f%`;
  }

  function signedPercent(value, digits = 0) {
    return value > 0 ? `+${percent(value, digits)}` : percent(value, digits);
  }

  function range(low, high, digits = 0) {
    const from = percent(low, digits).replace("\u202f%", "");
    return low < 0 ? `${from} to ${percent(high, digits)}` : `${from}\u2013${percent(high, digits)}`;
  }

  function count(n, one, many) {
    return `${n.toLocaleString("en")} ${n === 1 ? one : many || `${one}s`}`;
  }

  function sign(value) {
    return value > 0 ? "+" : MINUS;
  }

  function place(layer, head) {
    if (layer < 0) return "Random directions";
    return head < 0 ? `Layer ${layer}` : `Layer ${layer}, head ${head}`;
  }

  function matrix(name) {
    return MATRICES[name] || name;
  }

  /** The text of a token, all of which can be seen, and which cannot reach its neighbours. */
  function token(text, className) {
    const made = document.createElement("bdi");
    made.className = className ? `token ${className}` : "token";
    if (PLAIN.test(text)) {
      // Nearly all tokens, and there are thousands on a page.
      if (text[0] === " ") made.append(space(), text.slice(1));
      else made.textContent = text;
      return made;
    }
    if (text === "") made.append(element("span", { class: "escape" }, "empty"));
    // A mark that combines with the letter before it has none here.
    if (/^\p{M}/u.test(text)) made.append(element("span", { class: "carrier" }, "\u25cc"));
    let end = 0;
    for (const match of text.matchAll(MARKED)) {
      if (match.index > end) made.append(text.slice(end, match.index));
      end = match.index + match[0].length;
      if (match[1]) made.append(space());
      else if (match[2]) made.append(element("span", { class: "escape" }, match[2]));
      else made.append(element("span", { class: "escape" }, escaped(match[3])));
    }
    if (end < text.length) made.append(text.slice(end));
    return made;
  }

  function space() {
    const made = document.createElement("span");
    made.className = "space";
    made.textContent = " ";
    return made;
  }

  function escaped(character) {
    return NAMED[character] || `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  }

  /** The name of a list; names are texts like tokens. */
  function name(text) {
    return element("bdi", { class: "name" }, text.replace(MARKED, (all, space, byte) => (space || byte ? all : escaped(all))));
  }

  return { number, percent, signedPercent, range, count, sign, place, matrix, token, name };
})();
