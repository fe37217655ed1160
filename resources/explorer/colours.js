// Colours of numbers: one hue from little to much, two hues for less and more than nothing; both can be told apart by
// people who see red and green alike, and by their lightness alone.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {"share" | "signed" | "log"} ScaleKind From nothing to much; less and more than nothing; orders of magnitude. */
/**
 * From values to colours, with the ticks of a legend.
 * @typedef {object} Scale
 * @property {(value: number) => number} share how far along the ramp
 * @property {(value: number) => {colour: string, light: boolean}} fill
 * @property {[share: number, text: string][]} ticks
 * @property {string} gradient
 */

svdlens.colours = (function () {
  const RAMPS = {
    light: {
      one: ["#f0f1ee", "#c9dfe6", "#93c2d3", "#519dba", "#1f7499", "#0d4a6b"],
      two: ["#a8480f", "#d98a54", "#f0cfb5", "#f0f1ee", "#b9d8e2", "#5ea6c0", "#0f5f86"],
    },
    dark: {
      one: ["#23282c", "#1f3f4f", "#215d77", "#2f80a1", "#63abc9", "#bfe3f2"],
      two: ["#f2a66a", "#b5672f", "#5f3e28", "#23282c", "#24485a", "#3a86a6", "#a5d8ec"],
    },
  };

  /** @returns {"light" | "dark"} */
  function theme() {
    const chosen = document.documentElement.dataset.theme;
    if (chosen === "light" || chosen === "dark") return chosen;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  /**
   * A colour of the ramp, and whether black can be read on it better than white.
   * @param {string[]} ramp
   * @param {number} share
   */
  function mix(ramp, share) {
    const place = Math.min(1, Math.max(0, share)) * (ramp.length - 1);
    const below = Math.min(ramp.length - 2, Math.floor(place));
    /** @type {(colour: string, at: number) => number} */
    const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
    const mixed = [1, 3, 5].map((at) => {
      const from = channel(ramp[below], at);
      return Math.round(from + (channel(ramp[below + 1], at) - from) * (place - below));
    });
    return { colour: `rgb(${mixed.join(" ")})`, light: luminance(mixed) > 0.179 };
  }

  /**
   * Relative luminance, as WCAG has it.
   * @param {number[]} channels
   */
  function luminance(channels) {
    const [red, green, blue] = channels.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  /**
   * The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is no smaller than `size`.
   * @param {number} size
   */
  function roundedUp(size) {
    const power = 10 ** Math.floor(Math.log10(size));
    return [1, 2, 2.5, 5].map((factor) => factor * power).find((step) => step >= size * 0.9999) || 10 * power;
  }

  /**
   * The scale of these values; those that are not finite have no colour.
   * @param {ScaleKind} kind
   * @param {number[]} values
   * @returns {Scale}
   */
  function scaleOf(kind, values) {
    const ramp = RAMPS[theme()][kind === "signed" ? "two" : "one"];
    const { share, ticks } = AXES[kind](values.filter((value) => Number.isFinite(value)));
    return {
      share,
      fill: (value) => mix(ramp, share(value)),
      ticks,
      gradient: `linear-gradient(to right, ${ramp.join(", ")})`,
    };
  }

  /** @type {Record<ScaleKind, (known: number[]) => Pick<Scale, "share" | "ticks">>} */
  const AXES = { share: shareAxis, signed: signedAxis, log: logAxis };

  /** @param {number[]} known */
  function shareAxis(known) {
    const { percent } = svdlens.text;
    const least = known.length && Math.min(...known) > 0.75 ? Math.floor(Math.min(...known) * 20) / 20 : 0;
    const most = Math.max(least + 0.01, Math.min(1, Math.ceil(Math.max(0.01, ...known) * 10 - 1e-9) / 10));
    return {
      /** @param {number} value */
      share: (value) => (value - least) / (most - least),
      ticks: ticksAt([0, 0.5, 1], (share) => percent(least + (most - least) * share)),
    };
  }

  /** @param {number[]} known */
  function signedAxis(known) {
    const { points } = svdlens.text;
    const most = Math.min(1, roundedUp(Math.max(0.01, ...known.map(Math.abs))));
    return {
      /** @param {number} value */
      share: (value) => 0.5 + value / most / 2,
      ticks: ticksAt([0, 0.5, 1], (share) => (share === 0.5 ? "0" : points((2 * share - 1) * most))),
    };
  }

  /** @param {number[]} known */
  function logAxis(known) {
    const { number } = svdlens.text;
    const positive = known.filter((value) => value > 0);
    const low = positive.length ? Math.min(...positive) : 1;
    const high = positive.length ? Math.max(...positive) : 10;
    const width = Math.log(high / low) || 1;
    return {
      /** @param {number} value */
      share: (value) => (value > 0 ? Math.log(value / low) / width : 0),
      ticks: ticksAt([0, 0.5, 1], (share) => number(low * Math.exp(width * share), 3)),
    };
  }

  /**
   * @param {number[]} shares
   * @param {(share: number) => string} textOf
   * @returns {[share: number, text: string][]}
   */
  function ticksAt(shares, textOf) {
    return shares.map((share) => [share, textOf(share)]);
  }

  return { theme, scaleOf };
})();
