// An explorer that build_explorer wrote, in the directory SVDLENS_EXPLORER: what Python writes, the page reads.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const directory = process.env.SVDLENS_EXPLORER;
const skip = directory ? false : "SVDLENS_EXPLORER names no explorer; tests/test_explorer_js.py makes one";

function open() {
  const sourceOf = (name) => {
    const file = path.join(directory, "data", `${name}.js`);
    return fs.existsSync(file) ? fs.readFileSync(file, "utf16le").replace(/^\ufeff/, "") : undefined;
  };
  const page = openPage(["dom", "shards", "sweep", "search"], sourceOf);
  page.run(fs.readFileSync(path.join(directory, "data/catalogue.js"), "ascii"), "catalogue.js");
  return page.svdlens;
}

/** Texts of the tokens of every list of a model, as [matrix, setting, row, texts]. */
async function listsOf(sweep, model) {
  const found = [];
  for (const setting of sweep.settingsOf(model)) {
    for (const matrix of sweep.matricesOf(model, setting)) {
      const source = sweep.source(model, setting, matrix);
      for (const layer of source.frame.layers) {
        for (const head of source.frame.heads) {
          for (const readout of source.frame.readouts) {
            const lists = await sweep.listsOfCell(source, layer, head, readout, null);
            found.push(...lists.map((list) => [matrix, setting, list.row, list.tokens]));
          }
        }
      }
    }
  }
  return found;
}

test("for every token of a built explorer, a search finds just the lists that have it", { skip }, async () => {
  const { sweep, search } = open();
  assert.ok(sweep.models().length > 0);
  for (const model of sweep.models()) {
    const expected = new Map();
    for (const [matrix, setting, row, texts] of await listsOf(sweep, model)) {
      for (const text of new Set(texts)) expected.set(text, [...(expected.get(text) || []), `${matrix} ${row} ${setting}`]);
    }
    assert.ok(expected.size > 100);
    for (const text of expected.keys()) {
      if (!text.trim()) continue; // nothing to search for
      const tokens = search.picked(await search.tokensLike(text, [model]), [text]);
      const found = (await search.listsWith(tokens)).flatMap((one) => one.settings.map((setting) => `${one.matrix} ${one.row} ${setting}`));
      assert.deepEqual(found.sort(), expected.get(text).sort(), JSON.stringify(text));
    }
  }
});

test("examples of a built explorer are those of their list, where there are any", { skip }, async () => {
  const { sweep } = open();
  let seen = 0;
  for (const model of sweep.models()) {
    for (const setting of sweep.settingsOf(model)) {
      for (const matrix of sweep.matricesOf(model, setting)) {
        const source = sweep.source(model, setting, matrix);
        for (const layer of source.frame.layers) {
          for (const head of source.frame.heads) {
            for (const list of await sweep.listsOfCell(source, layer, head, source.frame.readouts[0], null)) {
              const found = await sweep.examples(source, list);
              if (model.name !== "a model" || setting !== "fold") {
                assert.equal(found, null);
                continue;
              }
              const n = list.index === 1 ? 2 : 3;
              const name = `${matrix} ${layer} ${head} ${list.side} ${list.index} ${list.sign}`;
              assert.deepEqual(found.windows.map((window) => [window.before, window.token, window.projection]), Array.from({ length: n }, (_, i) => [name, String(i), n - i]));
              assert.deepEqual([found.auc_at, found.p_at, found.auc_next], [0.25, 0.5, NaN]);
              seen += 1;
            }
          }
        }
        const random = sweep.randomOf(source);
        if (random) assert.equal(sweep.hasExamples(random), false);
      }
    }
  }
  assert.ok(seen > 50);
});
