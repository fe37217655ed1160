"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { smallSweep, nameOf, TEXTS } = require("./small_sweep.js");

function open() {
  const made = smallSweep();
  const page = openPage(["dom", "shards", "sweep"], made.files);
  page.svdlens.catalogue = made.catalogue;
  return { ...made, page, sweep: page.svdlens.sweep, model: made.catalogue.models[0] };
}

/** Layer, head, read-out, side, direction and sign of every row of a frame, in order. */
function placesOf(frame) {
  return frame.layers.flatMap((layer) =>
    frame.heads.flatMap((head) =>
      frame.readouts.flatMap((readout) =>
        frame.sides.flatMap((side) =>
          Array.from({ length: frame.directions }, (_, index) => index).flatMap((index) => [1, -1].map((sign) => ({ layer, head, readout, side, index, sign })))
        )
      )
    )
  );
}

test("the lists of every matrix are those that were written", async () => {
  const { sweep, model, lists } = open();
  for (const [place, frame] of model.frames.entries()) {
    const places = placesOf(frame);
    assert.equal(places.length, lists[place][0].length);
    for (const [table, setting] of ["raw", "fold"].entries()) {
      const source = sweep.source(model, setting, frame.matrix);
      let seen = 0;
      for (const layer of frame.layers) {
        for (const head of frame.heads) {
          for (const readout of frame.readouts) {
            for (const list of await soon(sweep.listsOfCell(source, layer, head, readout, "coherence"))) {
              const { side, index, sign } = list;
              assert.deepEqual({ layer, head, readout, side, index, sign }, places[list.row]);
              assert.deepEqual(list.tokens, lists[place][table][list.row].map((token) => TEXTS[token]));
              assert.deepEqual(list.ids, lists[place][table][list.row].map((token) => 100 + token));
              assert.deepEqual(list.scores, [0.9, 0.5, 0.25]);
              assert.equal(list.label.name, nameOf(list.row, table));
              assert.equal(list.label.interpretable, nameOf(list.row, table) !== null);
              assert.equal(list.label.score, list.row / 100);
              seen += 1;
            }
          }
        }
      }
      assert.equal(seen, places.length);
    }
  }
});

test("lists without a labeller have no labels, and no lists are none", async () => {
  const { sweep, model } = open();
  const source = sweep.source(model, "raw", "ov");
  assert.deepEqual(await sweep.lists(source, [], "coherence"), []);
  for (const list of await sweep.listsOfCell(source, 0, 0, "W_U", null)) assert.equal(list.label, null);
});

test("a matrix that a setting lacks has no source", () => {
  const { sweep, model } = open();
  assert.equal(sweep.source(model, "raw", "qk"), null);
  assert.equal(sweep.source(model, "center", "ov"), null);
  assert.equal(sweep.randomOf(sweep.source(model, "raw", "ov")), null);
});

test("a table that is told from itself ends in an error", async () => {
  const { sweep, model } = open();
  model.frames[0].tables[1].base = 1;
  await assert.rejects(soon(sweep.listsOfCell(sweep.source(model, "fold", "ov"), 0, 0, "W_U", null)), /data\/catalogue\.js is damaged/);
});
