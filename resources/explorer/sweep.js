// The sweep: what the catalogue has, and its tables out of the shards.
"use strict";
var svdlens = window.svdlens || {};

svdlens.sweep = (function () {
  const { shards } = svdlens;
  const JUDGED = [null, false, true];

  /** The catalogue is loaded after this file. */
  const catalogue = () => svdlens.catalogue;
  const models = () => catalogue().models;
  const modelOf = (name) => models().find((model) => model.name === name);
  const settingsOf = (model) =>
    catalogue().settings.map((setting) => setting.name).filter((name) => matricesOf(model, name).length);
  const matricesOf = (model, setting) => Object.keys(model.matrices).filter((matrix) => setting in model.matrices[matrix]);

  /** One kind of matrix of a model in a setting, or of the random directions beside it; null if the sweep lacks it. */
  function source(model, setting, matrix, random) {
    const entry = model.matrices[matrix] && model.matrices[matrix][setting];
    if (!entry || (random && !entry.random)) return null;
    const table = random ? entry.random : entry;
    const frame = random ? entry.random : model.frames[entry.frame];
    return { model, setting, matrix, entry, table, frame };
  }

  function labellersOf(entry) {
    return Object.keys(entry.labels);
  }

  // --- rows: layer, head, read-out, side, direction, sign, in that order ---

  function cellRows(frame) {
    return frame.readouts.length * frame.sides.length * frame.directions * 2;
  }

  function rowOf(frame, at) {
    const cell = frame.layers.indexOf(at.layer) * frame.heads.length + frame.heads.indexOf(at.head);
    const list = (cell * frame.readouts.length + frame.readouts.indexOf(at.readout)) * frame.sides.length;
    return ((list + frame.sides.indexOf(at.side)) * frame.directions + at.index) * 2 + (at.sign < 0 ? 1 : 0);
  }

  function placeOf(frame, row) {
    const take = (size) => {
      const place = row % size;
      row = Math.floor(row / size);
      return place;
    };
    const sign = take(2) ? -1 : 1;
    const index = take(frame.directions);
    const side = frame.sides[take(frame.sides.length)];
    const readout = frame.readouts[take(frame.readouts.length)];
    const head = frame.heads[take(frame.heads.length)];
    return { layer: frame.layers[row], head, readout, side, index, sign };
  }

  function partOf(frame, row) {
    const rows = cellRows(frame) * frame.heads.length * frame.layers_per_shard;
    return { part: Math.floor(row / rows), row: row % rows };
  }

  // --- tables ---

  async function vocabulary(model) {
    const shard = await shards.load(model.vocabulary);
    return shard.columns;
  }

  /** Numbers of the tokens in one part of a table; some tables are told from another of the same frame. */
  async function tokensOf(tables, table, part) {
    const { lists, base, tokens: k } = tables[table];
    const shard = await shards.load(lists[part]);
    if (base === null) return shard.columns.tokens;
    if (!shard.tokens) {
      const earlier = await tokensOf(tables, base, part);
      const { moved, tokens: fresh } = shard.columns;
      shard.tokens = new Int32Array(moved.length);
      let next = 0;
      for (let i = 0; i < moved.length; i++) {
        const place = i % k;
        shard.tokens[i] = moved[i] === k ? fresh[next++] : earlier[i - place + ((place + moved[i]) % k)];
      }
    }
    return shard.tokens;
  }

  /** Scores in one part of a table, k for each list. */
  async function scoresOf(name, k) {
    const shard = await shards.load(name);
    if (!shard.scores) {
      const { first, steps } = shard.columns;
      const n = first.length;
      shard.scores = new Float64Array(n * k);
      for (let row = 0; row < n; row++) {
        let code = first[row];
        for (let place = 0; place < k; place++) {
          if (place) code -= steps[(place - 1) * n + row];
          shard.scores[row * k + place] = shards.numberOf(code, shard.facts.digits);
        }
      }
    }
    return shard.scores;
  }

  /** The lists with these rows, which are all in one part: tokens as texts, scores, and what a labeller says, or null. */
  async function lists(of, rows, labeller) {
    if (!rows.length) return [];
    const { frame, table, model } = of;
    const tables = frame.tables;
    const k = tables[table.table].tokens;
    const { part } = partOf(frame, rows[0]);
    const said = labeller ? table.labels[labeller] : null;
    const [words, tokens, scores, names, numbers] = await Promise.all([
      vocabulary(model),
      tokensOf(tables, table.table, part),
      scoresOf(table.scores[part], k),
      said && shards.load(said.names),
      said && shards.load(said.numbers[part]),
    ]);
    return rows.map((row) => {
      const at = partOf(frame, row).row;
      const slice = (values) => values.slice(at * k, (at + 1) * k);
      const numbersOfTokens = Array.from(slice(tokens));
      return {
        ...placeOf(frame, row),
        row,
        tokens: numbersOfTokens.map((token) => words.texts[token]),
        ids: numbersOfTokens.map((token) => words.ids[token]),
        scores: Array.from(slice(scores)),
        label: said ? labelOf(names, numbers, row, at) : null,
      };
    });
  }

  function labelOf(names, numbers, row, at) {
    const { columns, facts } = names;
    const one = numbers.columns;
    const judged = columns.judged[row];
    return {
      name: columns.name[row] ? columns.names[columns.name[row] - 1] : null,
      kind: facts.kinds[columns.kind[row]],
      status: facts.statuses[columns.status[row]],
      labelled: JUDGED[judged % 3],
      verified: JUDGED[Math.floor(judged / 3) % 3],
      interpretable: JUDGED[Math.floor(judged / 9)],
      score: one.score[at],
      mean_log_rank: one.mean_log_rank[at],
      p_value: columns.p_value[one.list_null[at]],
      q_value: columns.q_value[one.list_null[at]],
      p_direction: columns.p_direction[one.direction_null[at]],
      q_direction: columns.q_direction[one.direction_null[at]],
      n_concepts: one.n_concepts[at],
      evidence: one.evidence[at],
      n_evidence: one.n_evidence[at],
    };
  }

  /** All lists of one matrix through one read-out, by direction, side and sign. */
  function listsOfCell(of, layer, head, readout, labeller) {
    const { frame } = of;
    const rows = [];
    for (let index = 0; index < frame.directions; index++) {
      for (const side of frame.sides) {
        for (const sign of [1, -1]) rows.push(rowOf(frame, { layer, head, readout, side, index, sign }));
      }
    }
    return lists(of, rows, labeller);
  }

  /** Singular values of one matrix, all of them, and what is known of each that was kept. */
  async function spectrum(of, layer, head) {
    const { columns, facts } = await shards.load(of.entry.spectra);
    const cell = of.frame.layers.indexOf(layer) * of.frame.heads.length + of.frame.heads.indexOf(head);
    const found = {};
    for (const [name, values] of Object.entries(columns)) {
      const each = name === "value" || name === "block" ? facts.rank : of.frame.directions;
      found[name] = values.subarray(cell * each, (cell + 1) * each);
    }
    return found;
  }

  return {
    catalogue, models, modelOf, settingsOf, matricesOf, source, labellersOf,
    cellRows, placeOf, partOf, vocabulary, lists, listsOfCell, spectrum,
  };
})();
