// Colours of numbers: one hue from little to much, two hues for less and more than nothing; both can be told apart by
// people who see red and green alike, and by their lightness alone.
"use strict";
var svdlens = window.svdlens || {};

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

  function theme() {
    const chosen = document.documentElement.dataset.theme;
    return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }

  /** A colour of the ramp, and whether black can be read on it better than white. */
  function mix(ramp, share) {
    const place = Math.min(1, Math.max(0, share)) * (ramp.length - 1);
    const below = Math.min(ramp.length - 2, Math.floor(place));
    const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
    const mixed = [1, 3, 5].map((at) => {
      const from = channel(ramp[below], at);
      return Math.round(from + (channel(ramp[below + 1], at) - from) * (place - below));
    });
    return { colour: `rgb(${mixed.join(" ")})`, light: luminance(mixed) > 0.179 };
  }

  function luminance(channels) {
    const [r, g, b] = channels.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  /** A step of 1, 2, 2.5 or 5 times a power of ten that is no smaller than `size`. */
  function niceUp(size) {
    const power = 10 ** Math.floor(Math.log10(size));
    return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= size * 0.9999);
  }

  /** From values to colours, with the ticks of a legend: {share(value), fill(value), ticks: [[share, text]]}. */
  function scaleOf(kind, values) {
    const { number, percent, signedPercent } = svdlens.text;
    const ramp = RAMPS[theme()][kind === "signed" ? "two" : "one"];
    const known = values.filter((value) => Number.isFinite(value));
    let share, ticks;
    if (kind === "log") {
      const positive = known.filter((value) => value > 0);
      const low = positive.length ? Math.min(...positive) : 1;
      const high = positive.length ? Math.max(...positive) : 10;
      const wide = Math.log(high / low) || 1;
      share = (value) => (value > 0 ? Math.log(value / low) / wide : 0);
      ticks = [0, 0.5, 1].map((at) => [at, number(low * Math.exp(wide * at), 3)]);
    } else if (kind === "signed") {
      const most = Math.min(1, niceUp(Math.max(0.01, ...known.map(Math.abs))));
      share = (value) => 0.5 + value / most / 2;
      ticks = [-1, 0, 1].map((at) => [(at + 1) / 2, at ? signedPercent(at * most) : "0"]);
    } else {
      const least = known.length && Math.min(...known) > 0.75 ? Math.floor(Math.min(...known) * 20) / 20 : 0;
      const most = Math.max(least + 0.01, Math.min(1, Math.ceil(Math.max(0.01, ...known) * 10 - 1e-9) / 10));
      share = (value) => (value - least) / (most - least);
      ticks = [0, 0.5, 1].map((at) => [at, percent(least + (most - least) * at)]);
    }
    return {
      share,
      fill: (value) => mix(ramp, share(value)),
      ticks,
      gradient: `linear-gradient(to right, ${ramp.join(", ")})`,
    };
  }

  return { theme, scaleOf };
})();
