"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { shardSource, packedSource, codeOf } = require("./shard_source.js");

const open = (files) => openPage(["dom", "shards"], files);
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

const GOOD = shardSource("a", { x: [1, 2, 3] });
const DAMAGED = {
  "whose data are cut off": GOOD.replace(/"[^"]{3}([^"]*)"\);$/, '"$1");'),
  "that ends too early": GOOD.slice(0, 20),
  "that throws": "throw new Error('damaged');",
  "that is empty": "",
  "that is another shard": shardSource("b", { x: [1] }),
  "whose header is damaged": 'svdlens.shards.add("a",{"bytes":4},"");',
};

for (const [what, source] of Object.entries(DAMAGED)) {
  test(`a file ${what} is named, and asked for again by the next who needs it`, async () => {
    const files = new Map([["a", source]]);
    const page = open(files);
    await assert.rejects(load(page, "a"), /data\/a\.js is damaged/);
    files.set("a", GOOD);
    assert.deepEqual([...(await load(page, "a")).columns.x], [1, 2, 3]);
    assert.deepEqual(page.asked, ["a", "a"]);
  });
}

test("all who ask for a file at once hear that it is missing", async () => {
  const page = open();
  const asked = ["a", "a", "a"].map((name) => load(page, name));
  for (const { status } of await Promise.allSettled(asked)) assert.equal(status, "rejected");
  assert.deepEqual(page.asked, ["a"]);
});

/** Four times its bytes are counted of each shard: two of these are more than what is kept. */
const largeSource = (name) => packedSource(name, [], {}, Buffer.alloc(26 * 1024 * 1024));

test("shards that were not used for longest are forgotten", async () => {
  const files = new Map(["a", "b"].map((name) => [name, largeSource(name)])).set("small", shardSource("small", { x: [5] }));
  const page = open(files);
  for (const name of ["a", "small", "b", "small", "b", "a"]) await load(page, name);
  assert.deepEqual(page.asked, ["a", "small", "b", "a"]);
});

test("a shard that is on its way is not forgotten", async () => {
  let arrive;
  const late = new Promise((resolve) => (arrive = resolve));
  const page = open((name) => (name === "late" ? late : largeSource(name)));
  const first = load(page, "late");
  await load(page, "a");
  await load(page, "b");
  const second = load(page, "late");
  arrive(shardSource("late", { x: [5] }));
  assert.equal(await first, await second);
  assert.deepEqual(page.asked, ["late", "a", "b"]);
});
