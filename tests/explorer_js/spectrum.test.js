"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const { spectrum } = openPage(["dom", "text", "spectrum"]).svdlens;

test("near-degenerate clusters are runs of one number, and null space is none", () => {
  assert.deepEqual(spectrum.clustersOf([0, 0, 1, 2, 2, 2], 6), [[0, 1], [3, 5]]);
  assert.deepEqual(spectrum.clustersOf([0, 0, 0], 2), [[0, 1]]);
  assert.deepEqual(spectrum.clustersOf([0, -1, -1], 3), []);
  assert.deepEqual(spectrum.clustersOf([], 0), []);
});
