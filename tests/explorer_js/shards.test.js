"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { shardSource, codeOf } = require("./shard_source.js");

const open = (files) => openPage(["shards"], files);
const load = (page, name) => soon(page.svdlens.shards.load(name));

test("a shard holds its columns", async () => {
  const columns = {
    small: [0, 1, 2, 255],
    large: [-70000, 5, 2 ** 30],
    constant: [7, 7],
    texts: ["", " fire", "\u706b", "\ud83d\udd25", "</script>", "__proto__"],
    numbers: [[0.00123, -45.6, 0, NaN, 1e300, 1e-40], 3],
  };
  const page = open(new Map([["a b/c", shardSource("a b/c", columns, { kinds: ["none"] })]]));
  const shard = await load(page, "a b/c");
  for (const name of ["small", "large", "constant"]) assert.deepEqual([...shard.columns[name]], columns[name]);
  assert.deepEqual(shard.columns.texts, columns.texts);
  const numbers = [...shard.columns.numbers];
  columns.numbers[0].forEach((value, i) => {
    if (Number.isNaN(value)) assert.ok(Number.isNaN(numbers[i]));
    else assert.ok(Math.abs(numbers[i] - value) <= 1e-12 * Math.abs(value), `${numbers[i]} for ${value}`);
  });
  assert.deepEqual(shard.facts, { kinds: ["none"] });
});

test("numbers have codes in their order, and come back from them", () => {
  const { numberOf } = open().svdlens.shards;
  for (const digits of [2, 3, 4]) {
    let before = -Infinity;
    for (let code = -3000; code <= 3000; code++) {
      const number = numberOf(code, digits);
      assert.ok(number > before, `${code} with ${digits} digits`);
      assert.equal(codeOf(number, digits), code);
      before = number;
    }
  }
});

test("a shard that is asked for twice is loaded once", async () => {
  const page = open(new Map([["a", shardSource("a", { x: [1] })]]));
  const [one, other] = await Promise.all([load(page, "a"), load(page, "a")]);
  assert.equal(one, other);
  assert.equal(await load(page, "a"), one);
  assert.deepEqual(page.asked, ["a"]);
});

test("a missing file is named, and asked for again by the next who needs it", async () => {
  const files = new Map();
  const page = open(files);
  await assert.rejects(load(page, "model/lists"), /data\/model\/lists\.js is missing/);
  files.set("model/lists", shardSource("model/lists", { x: [1, 2] }));
  assert.deepEqual([...(await load(page, "model/lists")).columns.x], [1, 2]);
});
