// A sweep of one model in two settings, small enough to be read: two kinds of matrices, the lists of the second setting
// told from those of the first.
"use strict";

const { shardSource, codeOf } = require("./shard_source.js");

const TEXTS = [" fire", "fire", "Fires", "##fire", "camp fire", " table", "tables", "chair", "=1", "never"];
const TOKENS = 3; // of each list
const FRAMES = [
  { matrix: "ov", layers: [0, 1], heads: [0, 1], readouts: ["W_U"], sides: ["read", "write"], directions: 2, layers_per_shard: 1 },
  { matrix: "mlp_in", layers: [0, 1, 2], heads: [-1], readouts: ["W_U", "W_E"], sides: ["read"], directions: 1, layers_per_shard: 2 },
];

const rowsOfLayer = (frame) => frame.heads.length * frame.readouts.length * frame.sides.length * frame.directions * 2;

/** Three different tokens for a row; the last of TEXTS is in no list. */
function listOf(row, table) {
  const first = (row * 7 + (row % 3 ? table : 0)) % 9;
  return [first, (first + 4) % 9, (first + 1 + (row % 2)) % 9];
}

function partsOf(values, rows) {
  const parts = [];
  for (let start = 0; start < values.length; start += rows) parts.push(values.slice(start, start + rows));
  return parts;
}

/** Catalogue, sources of the shards by name, and what they hold: lists[frame][table][row] is three numbers of tokens. */
function smallSweep() {
  const files = new Map();
  const write = (name, columns, facts) => {
    files.set(name, shardSource(name, columns, facts));
    return name;
  };
  let offset = 0;
  const lists = [];
  const frames = FRAMES.map((shape, place) => {
    const rows = shape.layers.length * rowsOfLayer(shape);
    lists.push([0, 1].map((table) => Array.from({ length: rows }, (_, row) => listOf(row + place, table))));
    const frame = { ...shape, offset, tables: lists[place].map((_, table) => writeTable(write, shape, lists[place], table)) };
    offset += rows;
    return frame;
  });
  const model = { name: "small", revision: null, frames, matrices: {}, ...writeIndex(write, frames, lists) };
  frames.forEach((frame, place) => {
    const rows = frame.layers.length * rowsOfLayer(frame);
    const entries = ["raw", "fold"].map((setting, table) => {
      const stem = `small/${frame.matrix}_${setting}`;
      return [setting, { frame: place, table, scores: writeScores(write, stem, frame, rows), labels: writeLabels(write, stem, frame, rows, table) }];
    });
    model.matrices[frame.matrix] = Object.fromEntries(entries);
  });
  const settings = [{ name: "raw" }, { name: "fold" }];
  return { catalogue: { tokens: TOKENS, beyond: 0.05, determined: 0.9, settings, models: [model] }, files, lists };
}

function writeTable(write, frame, tables, table) {
  const size = rowsOfLayer(frame) * frame.layers_per_shard;
  const names = partsOf(tables[table], size).map((lists, part) => {
    const name = `small/${frame.matrix}_lists_${table}_${part}`;
    if (!table) return write(name, { tokens: lists.flat() });
    const moved = lists.flatMap((list, i) => list.map((token, place) => movedBy(tables[0][part * size + i], token, place)));
    return write(name, { moved, tokens: lists.flat().filter((_, i) => moved[i] === TOKENS) });
  });
  return { lists: names, base: table ? 0 : null, tokens: TOKENS };
}

function movedBy(earlier, token, place) {
  const before = earlier.indexOf(token);
  return before < 0 ? TOKENS : (before - place + TOKENS) % TOKENS;
}

function writeIndex(write, frames, lists) {
  const parts = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]];
  const sizes = TEXTS.map(() => 0);
  const index = parts.map((tokens, part) => {
    const columns = { tokens, sizes: [], steps: [], tables: [] };
    for (const token of tokens) {
      const found = frames.flatMap((frame, place) =>
        lists[place][0].map((_, row) => [frame.offset + row, lists[place].reduce((bits, table, i) => bits | (Number(table[row].includes(token)) << i), 0)])
      );
      const rows = found.filter(([, bits]) => bits);
      sizes[token] = rows.length;
      columns.sizes.push(rows.length);
      rows.forEach(([row, bits], i) => {
        columns.steps.push(i ? row - rows[i - 1][0] : row);
        columns.tables.push(bits);
      });
    }
    return write(`small/index_${part}`, columns);
  });
  const partOf = TEXTS.map((_, token) => parts.findIndex((tokens) => tokens.includes(token)));
  const vocabulary = write("small/vocabulary", { texts: TEXTS, ids: TEXTS.map((_, token) => 100 + token), rows: sizes, parts: partOf });
  return { vocabulary, index };
}

/** Scores 0.9, 0.5 and 0.25 in every list, as the steps between their codes. */
function writeScores(write, stem, frame, rows) {
  const codes = [0.9, 0.5, 0.25].map((score) => codeOf(score, 3));
  const sizes = partsOf(Array.from({ length: rows }, (_, row) => row), rowsOfLayer(frame) * frame.layers_per_shard);
  return sizes.map((part, i) =>
    write(`${stem}_scores_${i}`, { first: part.map(() => codes[0]), steps: [0, 1].flatMap((step) => part.map(() => codes[step] - codes[step + 1])) }, { digits: 3 })
  );
}

const NAMES = ["about fire", "furniture"];

/** Every third list has no name; the others are about fire or furniture, some in one setting alone. */
function nameOf(row, table) {
  if (row % 3 === 0) return null;
  return NAMES[(row + (row % 5 ? 0 : table)) % 2];
}

function writeLabels(write, stem, frame, rows, table) {
  const each = Array.from({ length: rows }, (_, row) => row);
  const named = each.map((row) => NAMES.indexOf(nameOf(row, table)) + 1);
  const names = write(
    `${stem}_coherence_names`,
    {
      names: NAMES,
      name: named,
      kind: named.map((name) => Number(name > 0)),
      status: each.map(() => 1),
      judged: named.map((name) => (name ? 2 + 9 * 2 : 1 + 9)),
      p_value: [[0.01, NaN], 3],
      q_value: [[0.02, NaN], 3],
      p_direction: [[0.03, NaN], 3],
      q_direction: [[0.04, NaN], 3],
    },
    { kinds: ["none", "semantic"], statuses: ["absent", "ok"] }
  );
  const numbers = partsOf(each, rowsOfLayer(frame) * frame.layers_per_shard).map((part, i) =>
    write(`${stem}_coherence_${i}`, {
      score: [part.map((row) => row / 100), 3],
      mean_log_rank: [part.map(() => 7), 3],
      list_null: part.map((row) => row % 2),
      direction_null: part.map((row) => row % 2),
      n_concepts: part.map(() => 1),
      evidence: part.map(() => 5),
      n_evidence: part.map(() => 4),
    })
  );
  return { coherence: { names, numbers } };
}

module.exports = { smallSweep, nameOf, TEXTS };
