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

test("undetermined directions are runs below the threshold; where nothing is known there are none", () => {
  assert.deepEqual(spectrum.undeterminedRuns([0.2, 0.95, 0.9, 0.89, 0.5], 0.9), [[0, 0], [3, 4]]);
  assert.deepEqual(spectrum.undeterminedRuns([NaN, 0.1, NaN], 0.9), [[1, 1]]);
  assert.deepEqual(spectrum.undeterminedRuns([NaN, NaN], 0.9), []);
  assert.deepEqual(spectrum.undeterminedRuns([], 0.9), []);
});
