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
