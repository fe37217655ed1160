// How numbers and tokens look.
"use strict";
var svdlens = window.svdlens || {};

svdlens.text = (function () {
  const { element } = svdlens.dom;
  const MINUS = "\u2212";
  // Spaces; bytes that are no characters, written \xNN; what cannot be seen, or changes how its neighbours are shown.
  const MARKED = /( )|(\\x[0-9a-f]{2})|([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}]|[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0])/gu;
  const MOST_OF_A_NAME = 200; // characters
  const PLAIN = /^ ?[!-[\]-~]+$/;
  /** @type {Record<string, string>} */
  const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

  /**
   * A number with its significant digits; none is a dash.
   * @param {number | null | undefined} value
   * @param {number} [digits]
   */
  function number(value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    if (!Number.isFinite(value)) return value > 0 ? "\u221e" : `${MINUS}\u221e`;
    const magnitude = Math.abs(value);
    const far = magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6);
    let text = far ? magnitude.toExponential(digits - 1) : magnitude.toPrecision(digits);
    if (text.includes("e") && !far) text = String(Number(text));
    return value < 0 ? MINUS + text : text;
  }

  /**
   * A coefficient between -1 and 1, to two digits after the point.
   * @param {number} value
   */
  function decimals(value) {
    const shown = Math.abs(value).toFixed(2);
    return value < 0 && Number(shown) ? MINUS + shown : shown;
  }

  /**
   * @param {number | null | undefined} value
   * @param {number} [digits] after the point
   */
  function percent(value, digits = 0) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    return `${value < 0 ? MINUS : ""}${(100 * Math.abs(value)).toFixed(digits)}\u202f%`;
  }

  /**
   * A difference of shares: percentage points, which are no per cent of anything.
   * @param {number | null | undefined} value
   * @param {number} [digits] after the point
   * @param {boolean} [withUnit] not where the head of a column says it
   */
  function points(value, digits = 0, withUnit = true) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    return withUnit ? `${signed(value, digits)} points` : signed(value, digits);
  }

  /**
   * An interval of differences of shares.
   * @param {number} low
   * @param {number} high
   * @param {number} [digits] after the point
   */
  function pointsRange(low, high, digits = 0) {
    return `${signed(low, digits)} to ${signed(high, digits)} points`;
  }

  /**
   * @param {number} value a share
   * @param {number} digits after the point of its per cent
   */
  function signed(value, digits) {
    const shown = (100 * Math.abs(value)).toFixed(digits);
    if (Number(shown) === 0) return shown;
    return `${value < 0 ? MINUS : "+"}${shown}`;
  }

  /**
   * An interval of shares.
   * @param {number} low
   * @param {number} high
   * @param {number} [digits] after the point
   */
  function range(low, high, digits = 0) {
    return `${percent(low, digits).replace("\u202f%", "")}\u2013${percent(high, digits)}`;
  }

  /**
   * So many things.
   * @param {number} number
   * @param {string} noun
   */
  function count(number, noun) {
    return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  }

  /** @param {number} value */
  function sign(value) {
    return value > 0 ? "+" : MINUS;
  }

  /**
   * The name of one matrix among those of its kind.
   * @param {number} layer -1 of a kind that the model has one of
   * @param {number} head -1 where there are no heads
   */
  function cell(layer, head) {
    if (layer < 0) return "The matrix";
    return head < 0 ? `Layer ${layer}` : `Layer ${layer}, head ${head}`;
  }

  /**
   * The same in few letters, as the start of a phrase; nothing of a kind that the model has one of.
   * @param {number} layer
   * @param {number} head
   */
  function shortCell(layer, head) {
    if (layer < 0) return "";
    return head < 0 ? `L${layer}` : `L${layer} H${head}`;
  }

  /** @param {Source} source */
  function source({ model, setting }) {
    return `${model.name}, ${setting}`;
  }

  /** @param {string} name */
  function matrix(name) {
    return (svdlens.catalogue && svdlens.catalogue.matrices[name]) || name;
  }

  /**
   * The text of a token, all of which can be seen, and which cannot reach its neighbours.
   * @param {string} text
   * @param {string} [className]
   */
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

  /** @param {string} character */
  function escaped(character) {
    const code = /** @type {number} */ (character.codePointAt(0));
    return NAMED[character] || `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  }

  /**
   * The name of a list; names are texts like tokens. Of a long one the beginning is shown; a CSV has all of it.
   * @param {string} text
   */
  function name(text) {
    const shown = text.length > MOST_OF_A_NAME ? `${[...text].slice(0, MOST_OF_A_NAME).join("")}\u2026` : text;
    return element("bdi", { class: "name" }, shown.replace(MARKED, (all, space, byte) => (space || byte ? all : escaped(all))));
  }

  /**
   * Whole numbers in order, runs of them by their ends: 0 to 2, 5 and 7.
   * @param {number[]} known
   */
  function numbers(known) {
    const firsts = known.filter((one) => !known.includes(one - 1));
    const lasts = known.filter((one) => !known.includes(one + 1));
    const runs = firsts.map((first, place) => (first === lasts[place] ? `${first}` : `${first} to ${lasts[place]}`));
    return runs.length > 1 ? `${runs.slice(0, -1).join(", ")} and ${runs[runs.length - 1]}` : runs.join("");
  }

  return { number, numbers, decimals, percent, points, pointsRange, range, count, sign, cell, shortCell, source, matrix, token, name };
})();
