"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const SCRIPTS = ["dom", "shards", "text", "sweep", "state", "csv", "quantities", "colours", "grid", "overview"];
const CHOSEN = {
  matrix: "ov", setting: "raw", readout: "W_U", labelling: "coherence:q", labeller: "coherence", quantity: { key: "interpretable" },
  source: { entry: { labels: { coherence: {} } } },
};
const FOUND = { value: 0.5 };

/** What is said of matrices without a value; `rows` are k of n of all lists, or none. */
function said(cells, chosen = {}, n = 0) {
  const { svdlens } = openPage(SCRIPTS);
  const names = ["coherence", "q", "W_U", "all", "all", -1, -1];
  const summary = { fractions: new Map(n ? [[names.join("|"), 0]] : []), columns: { n: [n], k: [0], low: [0], high: [0], control_fraction: [0], excess: [0], excess_low: [0], excess_high: [0] } };
  return svdlens.overview.missingLabels({ ...CHOSEN, ...chosen }, summary, cells);
}

test("a matrix of zeros is said to be null space, and not to have no answer", () => {
  const live = { found: FOUND, zero: false };
  const unlabelled = { found: null, zero: false };
  const zero = { found: null, zero: true };
  assert.equal(said([live, live]), null);
  assert.equal(said([zero, zero]), "Every matrix of ov in raw is zero: all directions are null space, which has no lists to label.");
  assert.equal(said([live, zero]), "Hatched matrices are zero: all directions are null space, which has no lists to label.");
  assert.equal(said([unlabelled, unlabelled]), "coherence gave no answer to any list of ov in raw.");
  assert.equal(said([live, unlabelled, zero]), "Some matrices have no labels by coherence; they are hatched.");
  assert.equal(said([unlabelled, unlabelled], {}, 8), "coherence does not say this of its lists.");
  // A quantity of the spectrum has a value for every matrix, and lists that nobody was to label are said to be so.
  assert.equal(said([zero], { quantity: { key: "top", fact: "top" } }), null);
  assert.equal(said([zero], { source: { entry: { labels: {} } } }), "No labels by coherence of ov in raw, in this sweep.");
});
