"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { shardSource } = require("./shard_source.js");

const FACTS = {
  labeller: ["coherence", "published"], criterion: ["q < 0.05", "P"], readout: ["W_U"], side: ["read", "write", "all"], kind: ["all", "semantic"],
  labellers: ["coherence"],
};
const FRAME = { layers: [0, 1], heads: [0, 1], readouts: ["W_U"], sides: ["read", "write"] };
const READING = { labelling: "coherence:q < 0.05", readout: "W_U", side: "all" };
// labeller, criterion, side, kind, layer, head, k, n
const FRACTIONS = [
  [0, 0, 2, 0, -1, -1, 30, 64],
  [0, 0, 2, 0, 1, 0, 12, 16],
  [0, 0, 0, 0, 1, 0, 8, 8],
  [0, 0, 2, 1, 1, 0, 4, 16],
  [0, 0, 2, 0, 1, 1, 0, 0],
  [1, 1, 2, 0, 1, 0, 1, 2],
];

function summarySource() {
  const column = (place) => FRACTIONS.map((row) => row[place]);
  const same = (value) => [FRACTIONS.map(() => value), 3];
  // Counts: matrix, then side.
  return shardSource(
    "summary",
    {
      labeller: column(0), criterion: column(1), readout: FRACTIONS.map(() => 0), side: column(2), kind: column(3), layer: column(4), head: column(5),
      k: column(6), n: column(7), low: same(0.5), high: same(0.9), control_fraction: same(0.25), excess: same(-0.125), excess_low: same(-0.2), excess_high: same(0.1),
      "labels.ok": [8, 8, 8, 8, 8, 6, 0, 0], "labels.common": [0, 1, 2, 3, 4, 5, 0, 0], "labels.calibrated": [8, 8, 8, 8, 8, 8, 0, 0],
      "labels.beyond": [1, 1, 1, 1, 5, 1, 0, 0], "labels.log_rank": [[6, 6, 6, 6, 5, 7, NaN, NaN], 3],
      "spectra.top": [[1.5, 2, 3, NaN], 4], "spectra.energy": [[0.5, 0.5, 0.75, 0.5], 3], "spectra.stability": [[1, 1, 0.5, 1], 3], "spectra.undetermined": [[0, 0, 0.25, 0], 3],
    },
    FACTS
  );
}

async function open() {
  const page = openPage(["dom", "shards", "text", "sweep", "quantities"], new Map([["summary", summarySource()]]));
  page.svdlens.catalogue = { beyond: 0.05 };
  const { quantities } = page.svdlens;
  const source = { frame: FRAME, entry: { summary: "summary" } };
  const summary = await soon(quantities.summaryOf(source));
  const valueOf = (key, layer, head, reading = READING) => quantities.valueOf(source, summary, quantities.quantityOf(key), reading, layer, head);
  return { quantities, summary, valueOf };
}

test("labellings are those that there are fractions of", async () => {
  const { quantities, summary } = await open();
  assert.deepEqual(quantities.labellings(summary), ["coherence:q < 0.05", "published:P"]);
});

test("a fraction is that of its labelling, side, kind and matrix", async () => {
  const { valueOf } = await open();
  const found = valueOf("interpretable", 1, 0);
  assert.deepEqual([found.k, found.n, found.value, found.control], [12, 16, 0.75, 0.25]);
  assert.equal(valueOf("interpretable", 1, 0, { ...READING, side: "read" }).value, 1);
  assert.equal(valueOf("semantic", 1, 0).value, 0.25);
  assert.equal(valueOf("interpretable", 1, 0, { ...READING, labelling: "published:P" }).value, 0.5);
  assert.equal(valueOf("excess", 1, 0).value, -0.125);
});

test("what there is nothing of has no value", async () => {
  const { valueOf } = await open();
  assert.equal(valueOf("interpretable", 0, 0), null);
  assert.equal(valueOf("interpretable", 1, 1), null, "no list has an answer");
  assert.equal(valueOf("common", 1, 1), null);
  assert.equal(valueOf("rank", 1, 1), null);
  assert.equal(valueOf("top", 1, 1), null);
  assert.equal(valueOf("interpretable", 1, 0, { ...READING, labelling: null }), null);
  assert.equal(valueOf("common", 1, 0, { ...READING, labelling: "published:P" }), null);
});

test("counts are summed over the sides that are asked for", async () => {
  const { valueOf } = await open();
  assert.deepEqual(valueOf("common", 1, 0), { value: 9 / 14, k: 9, n: 14, control: null });
  assert.deepEqual(valueOf("common", 1, 0, { ...READING, side: "write" }), { value: 5 / 6, k: 5, n: 6, control: null });
  assert.deepEqual(valueOf("beyond", 1, 0), { value: 6 / 16, k: 6, n: 16, control: 0.05 });
  assert.ok(Math.abs(valueOf("rank", 1, 0).value - Math.exp(6)) < 1e-9);
});

test("facts of spectra need no labels", async () => {
  const { valueOf } = await open();
  assert.deepEqual(valueOf("top", 1, 0, { ...READING, labelling: null }), { value: 3 });
  assert.deepEqual(valueOf("undetermined", 1, 0), { value: 0.25 });
});

test("a value in words has what stands beside it", async () => {
  const { quantities, valueOf } = await open();
  const words = (key) => quantities.inWords(quantities.quantityOf(key), valueOf(key, 1, 0));
  assert.equal(words("interpretable"), "75.0\u202f% (12 of 16; 95\u202f%: 50.0\u201390.0\u202f%), random 25.0\u202f%");
  assert.equal(words("excess"), "\u221212.5 points (95\u202f%: \u221220.0 to +10.0 points)");
  assert.equal(words("top"), "3.000");
  assert.equal(quantities.inWords(quantities.quantityOf("top"), null), "none");
});

test("a summary that cannot be read fails each time it is asked for, and is never half read", async () => {
  const damaged = summarySource().replace('"kind":["all","semantic"],', "");
  const { quantities } = openPage(["dom", "shards", "text", "sweep", "quantities"], new Map([["summary", damaged]])).svdlens;
  const source = { frame: FRAME, entry: { summary: "summary" } };
  await assert.rejects(soon(quantities.summaryOf(source)));
  await assert.rejects(soon(quantities.summaryOf(source)));
});

test("a matrix is zero if its largest singular value is", async () => {
  const { quantities, summary } = await open();
  const source = { frame: FRAME };
  const zero = () => FRAME.layers.flatMap((layer) => FRAME.heads.map((head) => quantities.isZero(source, summary, layer, head)));
  assert.deepEqual(zero(), [false, false, false, false]);
  summary.columns["spectra.top"][2] = 0;
  assert.deepEqual(zero(), [false, false, true, false]);
});
