"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const { colours } = openPage(["dom", "text", "colours"]).svdlens;

test("a scale leads from its least to its largest value, whatever the values", () => {
  const sets = {
    share: [[], [0], [0.3], [0.2, 0.9], [1, 1], [NaN, 0.5]],
    signed: [[], [0], [-0.4, 0.1], [-1, 1], [0.001], [NaN, 0.07]],
    log: [[], [0], [3, 3], [0, 5], [1e-9, 1e9], [NaN, 2]],
  };
  for (const [kind, valueSets] of Object.entries(sets)) {
    for (const values of valueSets) {
      const scale = colours.scaleOf(kind, values);
      for (const value of values.filter(Number.isFinite)) {
        const share = scale.share(value);
        assert.ok(share >= -1e-9 && share <= 1 + 1e-9, `${kind} ${values}: ${share}`);
        assert.match(scale.fill(value).colour, /^rgb\(\d+ \d+ \d+\)$/);
      }
      for (const [place, label] of scale.ticks) assert.ok(place >= 0 && place <= 1 && !label.includes("NaN"));
    }
  }
});
