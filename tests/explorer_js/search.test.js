"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { smallSweep, nameOf, TEXTS } = require("./small_sweep.js");

function open(made = smallSweep()) {
  const page = openPage(["dom", "shards", "sweep", "search"], made.files);
  page.svdlens.catalogue = made.catalogue;
  return { ...made, search: page.svdlens.search, models: made.catalogue.models };
}

const textsOf = (tokens) => tokens.map((token) => token.text);

test("tokens that match, the nearest first", async () => {
  const { search, models } = open();
  const found = await soon(search.tokensLike(" FIRE ", models));
  assert.deepEqual(textsOf(found).slice(0, 3).sort(), [" fire", "##fire", "fire"]);
  assert.deepEqual(textsOf(found).slice(3), ["Fires", "camp fire"]);
  assert.deepEqual(await search.tokensLike("  ", models), []);
  assert.deepEqual(await search.tokensLike("no such token", models), []);
  assert.deepEqual(await search.tokensLike("never", models), [], "it is in no list");
});

test("what is picked is just what was asked for, or what is named", async () => {
  const { search, models } = open();
  const found = await soon(search.tokensLike("fire", models));
  assert.equal(search.picked(found, undefined).length, 3);
  assert.deepEqual(textsOf(search.picked(found, ["camp fire", "nothing"])), ["camp fire"]);
  assert.deepEqual(search.picked(found, [""]), []);
  assert.deepEqual(textsOf(search.picked(await search.tokensLike("tabl", models))).sort(), [" table", "tables"]);
});

test("a search finds every list that has one of the tokens, and no other", async () => {
  const { search, models, lists } = open();
  for (const query of ["fire", "table", "chair", "=1", "e"]) {
    const tokens = search.picked(await soon(search.tokensLike(query, models)), undefined);
    const wanted = new Set(textsOf(tokens).map((text) => TEXTS.indexOf(text)));
    const expected = lists.flatMap(([raw, fold], place) =>
      raw.flatMap((_, row) => {
        const settings = [raw, fold].flatMap((table, i) => (table[row].some((token) => wanted.has(token)) ? [["raw", "fold"][i]] : []));
        return settings.length ? [`${models[0].frames[place].matrix} ${row} ${settings}`] : [];
      })
    );
    const found = await soon(search.listsWith(tokens));
    assert.deepEqual(found.map((one) => `${one.matrix} ${one.row} ${one.settings}`).sort(), expected.sort(), query);
  }
});

test("a search for names finds every list of that name, with its settings", async () => {
  const { search, models, lists } = open();
  const expected = lists.flatMap(([raw], place) =>
    raw.flatMap((_, row) => {
      const settings = ["raw", "fold"].filter((_, table) => nameOf(row, table) === "about fire");
      return settings.length ? [`${models[0].frames[place].matrix} ${row} ${settings}`] : [];
    })
  );
  const found = await soon(search.listsNamed("FIRE", "coherence", models));
  assert.deepEqual(found.map((one) => `${one.matrix} ${one.row} ${one.settings}`).sort(), expected.sort());
  assert.deepEqual(await search.listsNamed("fire", "another labeller", models), []);
});

test("results of this setting come first among equals, then those in the order of the sweep", async () => {
  const { search, models } = open();
  const found = await soon(search.listsWith(search.picked(await search.tokensLike("e", models), undefined)));
  const sorted = search.sorted(found, models[0], "fold");
  assert.equal(sorted.length, found.length);
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1], sorted[i]];
    assert.ok(before.hits >= after.hits);
    const isHere = (one) => Number(one.settings.includes("fold"));
    if (before.hits === after.hits) assert.ok(isHere(before) >= isHere(after));
  }
});

test("a token that its part of the index lacks ends the search, and is said", async () => {
  const made = smallSweep();
  // Parts of the index that are of another explorer: each has just the tokens of the other.
  made.catalogue.models[0].index.reverse();
  const { search, models } = open(made);
  const tokens = search.picked(await soon(search.tokensLike("fire", models)), undefined);
  await assert.rejects(soon(search.listsWith(tokens)), /data\/small\/index_\d\.js is damaged \(it lacks the token \u201c.*fire\u201d\)/);
});
