"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { openPage, soon } = require("./page.js");
const { shardSource } = require("./shard_source.js");

const SCRIPTS = ["dom", "shards", "text", "state", "sweep", "csv", "quantities", "agreement"];
const FRAME = { matrix: "mlp_in", layers: [0], heads: [-1], readouts: ["W_U", "W_E"], sides: ["read"], directions: 4, layers_per_shard: 1 };
const STATUSES = ["absent", "ok", "failed", "null_space"];
const KINDS = ["none", "semantic", "frequency"];
// Status, kind and what is interpretable (0 null, 1 no, 2 yes) of the eight lists of each read-out.
const SAID = {
  one: [[1, 1, 2], [1, 1, 2], [1, 0, 1], [1, 0, 1], [1, 2, 2], [2, 0, 0], [1, 1, 2], [3, 0, 0]],
  other: [[1, 0, 2], [1, 0, 1], [1, 1, 2], [1, 0, 1], [1, 1, 2], [1, 1, 2], [0, 0, 0], [3, 0, 0]],
};

function namesSource(labeller) {
  const rows = [...SAID[labeller], ...SAID[labeller].map(() => [1, 1, 2])];
  const columns = { names: [], name: rows.map(() => 0), status: rows.map(([status]) => status), kind: rows.map(([, kind]) => kind), judged: rows.map(([, , said]) => 9 * said + 4) };
  return shardSource(`${labeller}_names`, columns, { kinds: KINDS, statuses: STATUSES });
}

function open() {
  const { svdlens } = openPage(SCRIPTS, new Map(Object.keys(SAID).map((name) => [`${name}_names`, namesSource(name)])));
  const labels = Object.fromEntries(Object.keys(SAID).map((name) => [name, { names: `${name}_names` }]));
  svdlens.catalogue = { settings: [{ name: "raw" }, { name: "post" }], not_interpretable: ["frequency", "glitch"] };
  return { agreement: svdlens.agreement, source: { frame: FRAME, entry: { labels } } };
}

test("lists are told apart by who calls them interpretable, where both were given them and decided", async () => {
  const { agreement, source } = open();
  const { joined, ...rows } = await soon(agreement.compare(source, "W_U", "one", "other"));
  // A list of frequent tokens is not interpretable; one that failed, was not given or is null space counts nowhere.
  assert.deepEqual({ ...rows }, { both: [0], only_first: [1], only_second: [2, 4], neither: [3] });
  assert.equal(joined, 6);
  const turned = await soon(agreement.compare(source, "W_U", "other", "one"));
  assert.deepEqual([turned.only_first, turned.only_second], [[2, 4], [1]]);
  const throughOther = await soon(agreement.compare(source, "W_E", "one", "other"));
  assert.deepEqual(throughOther.both, [8, 9, 10, 11, 12, 13, 14, 15]);
});

test("kappa is 1 for the same decisions, 0 by chance, and not defined where chance alone agrees always", () => {
  const { agreement } = open();
  const kappa = (both, only_first, only_second, neither) => agreement.kappa({ both, only_first, only_second, neither });
  assert.equal(kappa(3, 0, 0, 5), 1);
  assert.equal(kappa(4, 4, 4, 4), 0);
  assert.equal(kappa(0, 5, 5, 0), -1);
  assert.ok(Math.abs(kappa(20, 5, 10, 15) - 0.4) < 1e-12, "the example of Cohen's kappa in textbooks");
  assert.equal(kappa(6, 4, 0, 0), 0, "one calls everything interpretable");
  assert.equal(kappa(8, 0, 0, 0), null);
  assert.equal(kappa(0, 0, 0, 0), null);
});

test("what the table knows of two labellers is found whichever comes first", () => {
  const { agreement, source } = open();
  const numbers = { kappa_low: [0.1, 0.2, NaN], kappa_high: [0.5, 0.6, NaN], control_both: [1, 5, 0], control_only_first: [2, 6, 0], control_only_second: [3, 7, 0], control_neither: [4, 8, 0] };
  const keys = { readout: [0, 1, 0], first: [0, 0, 0], second: [1, 1, 2] };
  const columns = Object.fromEntries(Object.entries({ ...numbers, ...keys }).map(([name, values]) => [`agreement.${name}`, values]));
  const summary = { columns, facts: { labellers: ["one", "other", "third"] } };
  const known = (...of) => agreement.knownAgreement(source, summary, ...of);
  assert.deepEqual({ ...known("W_U", "one", "other").random }, { both: 1, only_first: 2, only_second: 3, neither: 4 });
  assert.deepEqual({ ...known("W_E", "other", "one").random }, { both: 5, only_first: 7, only_second: 6, neither: 8 });
  assert.deepEqual([known("W_E", "other", "one").low, known("W_E", "other", "one").high], [0.2, 0.6]);
  assert.equal(known("W_U", "other", "third"), null);
  assert.equal(agreement.knownAgreement(source, { columns: {}, facts: summary.facts }, "W_U", "one", "other"), null);
});

test("the place with several labellers is this one, or one of this setting, or any", () => {
  const { agreement } = open();
  const [one, two] = [{ labels: { a: {} } }, { labels: { a: {}, b: {} } }];
  const place = (matrices) => agreement.comparedPlace({ name: "m", matrices }, "raw", "ov");
  assert.deepEqual({ ...place({ mlp: { raw: two }, ov: { raw: two, post: one } }) }, { setting: "raw", matrix: "ov" });
  assert.deepEqual({ ...place({ ov: { raw: one, post: two }, mlp: { raw: two } }) }, { setting: "raw", matrix: "mlp" });
  assert.deepEqual({ ...place({ ov: { raw: one, post: two } }) }, { setting: "post", matrix: "ov" });
  assert.equal(place({ ov: { raw: one, post: one } }), null);
});

test("of a labeller who brought lists of its own, it is said that the tokens are those of the sweep", () => {
  const { agreement } = open();
  const source = { entry: { labels: { published: { own_lists: true }, coherence: {} } } };
  assert.match(agreement.remarkOn(source, "published"), /^published labelled lists of its own: the tokens here are those that this sweep has/);
  assert.deepEqual(["coherence", "nobody", null].map((name) => agreement.remarkOn(source, name)), [null, null, null]);
});

const directory = process.env.SVDLENS_EXPLORER;

test("a built explorer says of each two labellers what the table of agreement says", { skip: directory ? false : "SVDLENS_EXPLORER names no explorer" }, async () => {
  const sourceOf = (name) => {
    const file = path.join(directory, "data", `${name}.js`);
    return fs.existsSync(file) ? fs.readFileSync(file, "utf16le").replace(/^\ufeff/, "") : undefined;
  };
  const page = openPage(SCRIPTS, sourceOf);
  page.run(fs.readFileSync(path.join(directory, "data/catalogue.js"), "ascii"), "catalogue.js");
  const { agreement, quantities, sweep } = page.svdlens;
  const table = JSON.parse(fs.readFileSync(path.join(directory, "agreement.json"), "utf8"));
  assert.ok(table.length > 9);
  for (const row of table) {
    const source = sweep.source(sweep.modelOf(row.model), row.setting, row.matrix);
    const compared = await soon(agreement.compare(source, row.readout, row.first, row.second));
    const counts = Object.fromEntries(["both", "only_first", "only_second", "neither"].map((cell) => [cell, compared[cell].length]));
    assert.deepEqual({ ...counts, joined: compared.joined }, { both: row.both, only_first: row.only_first, only_second: row.only_second, neither: row.neither, joined: row.n_joined });
    const kappa = agreement.kappa(counts);
    assert.ok(row.kappa === null ? kappa === null : Math.abs(kappa - row.kappa) < 1e-12);
    const known = agreement.knownAgreement(source, await soon(quantities.summaryOf(source)), row.readout, row.second, row.first);
    assert.deepEqual({ ...known.random }, { both: row.control_both, only_first: row.control_only_second, only_second: row.control_only_first, neither: row.control_neither });
    assert.ok(row.kappa_low === null ? Number.isNaN(known.low) : Math.abs(known.low - row.kappa_low) < 1e-5 && Math.abs(known.high - row.kappa_high) < 1e-5);
  }
});
