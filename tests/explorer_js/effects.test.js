// What directions do: the numbers of the matrix that is asked for, and nothing where none were measured.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");
const { smallSweep } = require("./small_sweep.js");
const { shardSource } = require("./shard_source.js");

const range = (n, of) => Array.from({ length: n }, (_, i) => of(i));

function open(metric) {
  const { catalogue, files } = smallSweep();
  const entry = catalogue.models[0].matrices.ov.raw;
  // Two layers of two heads of two directions.
  const columns = { first_order: [range(8, (i) => i), 3], rms_activation: [range(8, (i) => 10 + i), 3], direct_effect: [range(16, (i) => (i === 9 ? NaN : -i)), 3] };
  files.set("small/ov_effects", shardSource("small/ov_effects", columns, {}));
  entry.effects = { shard: "small/ov_effects", metric, tokens: 1024 };
  const { svdlens } = openPage(["dom", "shards", "text", "sweep", "effects"], files);
  svdlens.catalogue = catalogue;
  return svdlens;
}

test("effects are those of the matrix and the sign", async () => {
  const { sweep, effects } = open("loss");
  const source = sweep.source(sweep.modelOf("small"), "raw", "ov");
  const found = await effects.ofCell(source, 1, 0);
  assert.deepEqual([...found.first_order], [4, 5]);
  assert.deepEqual([...found.direct_effect].map(String), ["-8", "NaN", "-10", "-11"]);
  const shown = (list) => effects.cells(found, list).map((cell) => cell.textContent);
  assert.deepEqual(shown({ index: 1, side: "write", sign: -1 }), ["5.0", "\u221211"]);
  assert.deepEqual(shown({ index: 1, side: "read", sign: 1 }), ["5.0", "\u2013"]);
  assert.deepEqual(shown({ index: 0, side: "write", sign: -1 }), ["4.0", "\u2013"]);
  assert.deepEqual(effects.facts(found, 0).map(([, value]) => value), ["4.00", "14.0"]);
});

test("a metric of words is named", async () => {
  const { sweep, effects } = open(["fire", "flame"]);
  const found = await effects.ofCell(sweep.source(sweep.modelOf("small"), "raw", "ov"), 0, 0);
  const [[name, title]] = effects.heads(found);
  assert.equal(name, "log p");
  assert.match(title, /log-probability of fire, flame .* 1024 tokens/);
});

test("where none were measured there are none", async () => {
  const { sweep, effects } = open("loss");
  for (const [setting, matrix] of [["fold", "ov"], ["raw", "mlp_in"]]) {
    assert.equal(await effects.ofCell(sweep.source(sweep.modelOf("small"), setting, matrix), 0, -1), null);
  }
});
