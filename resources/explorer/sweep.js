// The sweep: what the catalogue has, and its tables out of the shards.
"use strict";
var svdlens = window.svdlens || {};

// --- the catalogue, as scripts/svdlens/explorer/build.py writes it ---

/** @typedef {{tokens: number, beyond: number, determined: number, not_interpretable: string[], basis: string, matrices: Record<string, string>, settings: {name: string}[], models: Model[]}} Catalogue */
/**
 * @typedef {object} Model
 * @property {string} name
 * @property {string} vocabulary name of a shard
 * @property {string[]} index names of shards
 * @property {Frame[]} frames
 * @property {Record<string, Record<string, Entry>>} matrices by kind of matrix and setting
 */
/**
 * Which lists a table has, in the order layer, head, read-out, side, direction, sign; no layer and no head are -1.
 * @typedef {object} Frame
 * @property {string} matrix
 * @property {number[]} layers
 * @property {number[]} heads
 * @property {string[]} readouts
 * @property {string[]} sides
 * @property {number} directions of each matrix
 * @property {number} layers_per_shard
 * @property {number} offset of its rows among those of all frames of the model
 * @property {ListTable[]} tables the different tables of lists in this frame
 */
/** @typedef {{lists: string[], base: number | null, tokens: number}} ListTable Told from table `base`; `tokens` in a list. */
/** @typedef {{table: number, scores: string[], labels: Record<string, LabelShards>}} TableEntry Labels by labeller. */
/** @typedef {{names: string, numbers: string[], labeller_network?: boolean, own_lists?: boolean, token_frequency?: string}} LabelShards */
/** @typedef {TableEntry & {frame: number, spectra: string, summary: string, effects?: EffectsEntry, random?: Frame & TableEntry, examples?: ExampleShards}} Entry */
/** @typedef {{shards: string[], windows: number}} ExampleShards Where directions project most in a text; `windows` of each. */
/** @typedef {{model: Model, setting: string, matrix: string, entry: Entry, table: TableEntry, frame: Frame}} Source */

// --- what the shards hold, and what is made of it ---

/** @typedef {{texts: string[], ids: Int32Array, rows: Int32Array, parts: Int32Array}} VocabularyColumns */
/** @typedef {{tokens: Int32Array, moved: Int32Array}} ListColumns `moved` only in tables told from others. */
/** @typedef {Shard<ListColumns, {}> & {whole?: Int32Array}} ListShard */
/** @typedef {Shard<{first: Int32Array, steps: Int32Array}, {digits: number}> & {scores?: Float64Array}} ScoreShard */
/** @typedef {Record<"name" | "kind" | "status" | "judged", Int32Array> & {names: string[]}} NameColumns */
/** @typedef {Record<"p_value" | "q_value" | "p_direction" | "q_direction", Float64Array>} NullColumns Both nulls, by place. */
/** @typedef {Shard<NameColumns & NullColumns, {kinds: string[], statuses: string[]}>} NameShard */
/** @typedef {Record<"list_null" | "direction_null" | "n_concepts" | "evidence" | "n_evidence", Int32Array>} CountColumns */
/** @typedef {Shard<CountColumns & Record<"score" | "mean_log_rank", Float64Array>, {}>} LabelShard */
/** @typedef {"auc_at" | "p_at" | "auc_next" | "p_next"} AgreementNumber */
/** @typedef {Record<AgreementNumber | "projections", Float64Array> & {texts: string[], windows: Int32Array}} ExampleColumns */
/** @typedef {{before: string, token: string, after: string, projection: number}} ExampleWindow */
/** @typedef {Record<AgreementNumber, number> & {windows: ExampleWindow[]}} Examples The highest projection first. */
/** @typedef {{layer: number, head: number, readout: string, side: string, index: number, sign: number}} ListKeys */
/** @typedef {ListKeys & {row: number, tokens: string[], ids: number[], scores: number[], label: Label | null}} TokenList */
/**
 * @typedef {object} Label
 * @property {string | null} name
 * @property {string} kind
 * @property {string} status
 * @property {boolean | null} labelled
 * @property {boolean | null} verified
 * @property {boolean | null} interpretable
 * @property {number} score
 * @property {number} mean_log_rank
 * @property {number} p_value
 * @property {number} q_value
 * @property {number} p_direction
 * @property {number} q_direction
 * @property {number} n_concepts
 * @property {number} evidence bits: whether the label rests on the token at that place
 * @property {number} n_evidence
 */
/** @typedef {"value" | "energy" | "gap" | "cluster_spread" | "sign_margin" | "stability_noise" | "stability_float32"} SpectrumNumber */
/** @typedef {Record<SpectrumNumber, Float64Array> & {cluster: Int32Array}} Spectrum `cluster`: number of the near-degenerate cluster, or -1. */

/** @type {Catalogue | undefined} Loaded after this file: data/catalogue.js. */
svdlens.catalogue = undefined;

svdlens.sweep = (function () {
  const { shards } = svdlens;
  const JUDGED = [null, false, true];

  const catalogue = () => /** @type {Catalogue} */ (svdlens.catalogue);
  const models = () => catalogue().models;

  /** @param {string} name of a model that the sweep has */
  const modelOf = (name) => /** @type {Model} */ (models().find((model) => model.name === name));

  /** @param {Model} model */
  function settingsOf(model) {
    const names = catalogue().settings.map((setting) => setting.name);
    return names.filter((name) => matricesOf(model, name).length);
  }

  /**
   * @param {Model} model
   * @param {string} setting
   */
  function matricesOf(model, setting) {
    return Object.keys(model.matrices).filter((matrix) => setting in model.matrices[matrix]);
  }

  /**
   * One kind of matrix of a model in a setting; null if the sweep lacks it.
   * @param {Model} model
   * @param {string} setting
   * @param {string} matrix
   * @returns {Source | null}
   */
  function source(model, setting, matrix) {
    const entry = model.matrices[matrix] && model.matrices[matrix][setting];
    return entry ? { model, setting, matrix, entry, table: entry, frame: model.frames[entry.frame] } : null;
  }

  /**
   * The random directions beside a source; null if there are none.
   * @param {Source} of
   * @returns {Source | null}
   */
  function randomOf(of) {
    const { random } = of.entry;
    return random ? { ...of, table: random, frame: random } : null;
  }

  /** @param {Entry} entry */
  function labellersOf(entry) {
    return Object.keys(entry.labels);
  }

  // --- rows: layer, head, read-out, side, direction, sign, in that order ---

  /**
   * @param {Frame} frame
   * @param {ListKeys} keys
   */
  function rowOf(frame, keys) {
    const cell = cellOf(frame, keys.layer, keys.head);
    const list = (cell * frame.readouts.length + frame.readouts.indexOf(keys.readout)) * frame.sides.length;
    return ((list + frame.sides.indexOf(keys.side)) * frame.directions + keys.index) * 2 + (keys.sign < 0 ? 1 : 0);
  }

  /**
   * @param {Frame} frame
   * @param {number} row
   * @returns {ListKeys}
   */
  function keysOf(frame, row) {
    let rest = row;
    /** @param {number} size */
    const take = (size) => {
      const place = rest % size;
      rest = Math.floor(rest / size);
      return place;
    };
    const sign = take(2) ? -1 : 1;
    const index = take(frame.directions);
    const side = frame.sides[take(frame.sides.length)];
    const readout = frame.readouts[take(frame.readouts.length)];
    const head = frame.heads[take(frame.heads.length)];
    return { layer: frame.layers[rest], head, readout, side, index, sign };
  }

  /**
   * The place of a matrix among those of its kind.
   * @param {Frame} frame
   * @param {number} layer
   * @param {number} head
   */
  function cellOf(frame, layer, head) {
    return frame.layers.indexOf(layer) * frame.heads.length + frame.heads.indexOf(head);
  }

  /**
   * The shard that has a row, and the row there.
   * @param {Frame} frame
   * @param {number} row
   */
  function partOf(frame, row) {
    const ofCell = frame.readouts.length * frame.sides.length * frame.directions * 2;
    const rows = ofCell * frame.heads.length * frame.layers_per_shard;
    return { part: Math.floor(row / rows), row: row % rows };
  }

  // --- tables ---

  /** @param {Model} model */
  async function vocabularyOf(model) {
    /** @type {Shard<VocabularyColumns, {}> & {plain?: string[]}} */
    const shard = await shards.load(model.vocabulary);
    return shard;
  }

  /**
   * Numbers of the tokens in one part of a table; some tables are told from an earlier one of the same frame.
   * @param {ListTable[]} tables
   * @param {number} table
   * @param {number} part
   * @returns {Promise<Int32Array>}
   */
  async function tokensOf(tables, table, part) {
    const { lists, base, tokens: length } = tables[table];
    /** @type {ListShard} */
    const shard = await shards.load(lists[part]);
    if (base === null) return shard.columns.tokens;
    // A table told from itself or from a later one would be looked up without end.
    if (base >= table) throw shards.damaged("catalogue", `table ${table} is told from table ${base}`);
    if (!shard.whole) shard.whole = movedTokens(await tokensOf(tables, base, part), shard.columns, length);
    return shard.whole;
  }

  /**
   * Tokens out of those of an earlier table: each stands so many places further down there, modulo the length of the
   * lists, or is new where that number is the length.
   * @param {Int32Array} earlier
   * @param {ListColumns} columns
   * @param {number} length
   */
  function movedTokens(earlier, { moved, tokens: fresh }, length) {
    const tokens = new Int32Array(moved.length);
    let next = 0;
    for (let i = 0; i < moved.length; i++) {
      const place = i % length;
      tokens[i] = moved[i] === length ? fresh[next++] : earlier[i - place + ((place + moved[i]) % length)];
    }
    return tokens;
  }

  /**
   * Scores in one part of a table, `length` for each list.
   * @param {string} name of the shard
   * @param {number} length
   */
  async function scoresOf(name, length) {
    /** @type {ScoreShard} */
    const shard = await shards.load(name);
    if (!shard.scores) shard.scores = scoresFrom(shard, length);
    return shard.scores;
  }

  /**
   * Scores from the codes of the first, and from how much the codes fall from token to token.
   * @param {ScoreShard} shard
   * @param {number} length
   */
  function scoresFrom({ columns: { first, steps }, facts }, length) {
    const rows = first.length;
    const scores = new Float64Array(rows * length);
    for (let row = 0; row < rows; row++) {
      let code = first[row];
      for (let place = 0; place < length; place++) {
        if (place) code -= steps[(place - 1) * rows + row];
        scores[row * length + place] = shards.numberOf(code, facts.digits);
      }
    }
    return scores;
  }

  /**
   * The lists with these rows, which are all in one part, with what a labeller says of them, or without.
   * @param {Source} of
   * @param {number[]} rows
   * @param {string | null} labeller
   * @returns {Promise<TokenList[]>}
   */
  async function lists(of, rows, labeller) {
    if (!rows.length) return [];
    const { frame, table, model } = of;
    const { tables } = frame;
    const length = tables[table.table].tokens;
    const { part } = partOf(frame, rows[0]);
    const labels = labeller ? table.labels[labeller] : null;
    const [vocabulary, tokens, scores, labelOf] = await Promise.all([
      vocabularyOf(model),
      tokensOf(tables, table.table, part),
      scoresOf(table.scores[part], length),
      labels ? labelsOf(labels, part) : () => null,
    ]);
    const { texts, ids } = vocabulary.columns;
    return rows.map((row) => {
      const rowOfPart = partOf(frame, row).row;
      const [start, end] = [rowOfPart * length, (rowOfPart + 1) * length];
      const numbers = Array.from(tokens.subarray(start, end));
      return {
        ...keysOf(frame, row),
        row,
        tokens: numbers.map((number) => texts[number]),
        ids: numbers.map((number) => ids[number]),
        scores: Array.from(scores.subarray(start, end)),
        label: labelOf(row, rowOfPart),
      };
    });
  }

  /**
   * The labels of one part of a table: of a row, and its row in the part.
   * @param {LabelShards} labels
   * @param {number} part
   * @returns {Promise<(row: number, rowOfPart: number) => Label>}
   */
  async function labelsOf(labels, part) {
    /** @type {Promise<NameShard>} */
    const whole = shards.load(labels.names);
    /** @type {Promise<LabelShard>} */
    const ofPart = shards.load(labels.numbers[part]);
    const [{ columns, facts }, { columns: numbers }] = await Promise.all([whole, ofPart]);
    return (row, rowOfPart) => {
      const judged = columns.judged[row];
      const listNull = numbers.list_null[rowOfPart];
      const directionNull = numbers.direction_null[rowOfPart];
      return {
        name: columns.name[row] ? columns.names[columns.name[row] - 1] : null,
        kind: facts.kinds[columns.kind[row]],
        status: facts.statuses[columns.status[row]],
        labelled: JUDGED[judged % 3],
        verified: JUDGED[Math.floor(judged / 3) % 3],
        interpretable: JUDGED[Math.floor(judged / 9)],
        score: numbers.score[rowOfPart],
        mean_log_rank: numbers.mean_log_rank[rowOfPart],
        p_value: columns.p_value[listNull],
        q_value: columns.q_value[listNull],
        p_direction: columns.p_direction[directionNull],
        q_direction: columns.q_direction[directionNull],
        n_concepts: numbers.n_concepts[rowOfPart],
        evidence: numbers.evidence[rowOfPart],
        n_evidence: numbers.n_evidence[rowOfPart],
      };
    };
  }

  /**
   * All lists of one matrix through one read-out, by direction, side and sign.
   * @param {Source} of
   * @param {number} layer
   * @param {number} head
   * @param {string} readout
   * @param {string | null} labeller
   */
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

  /**
   * Singular values of one matrix, all of them, and what is known of each that was kept.
   * @param {Source} of
   * @param {number} layer
   * @param {number} head
   * @returns {Promise<Spectrum>}
   */
  async function spectrum(of, layer, head) {
    /** @type {Shard<Spectrum, {rank: number}>} */
    const { columns } = await shards.load(of.entry.spectra);
    const { frame } = of;
    const cell = cellOf(frame, layer, head);
    const cells = frame.layers.length * frame.heads.length;
    const ofCell = Object.entries(columns).map(([name, values]) => {
      const size = values.length / cells;
      return [name, values.subarray(cell * size, (cell + 1) * size)];
    });
    return Object.fromEntries(ofCell);
  }

  /**
   * Where a direction projects most in a text, whatever the read-out; null where that was not looked for.
   * @param {Source} of
   * @param {ListKeys} keys
   * @returns {Promise<Examples | null>}
   */
  async function examples(of, keys) {
    const { frame, entry } = of;
    if (!hasExamples(of) || !entry.examples) return null;
    const { shards: names, windows: n } = entry.examples;
    const cells = frame.layers_per_shard * frame.heads.length;
    const cell = cellOf(frame, keys.layer, keys.head);
    /** @type {Shard<ExampleColumns, {}>} */
    const { columns } = await shards.load(names[Math.floor(cell / cells)]);
    const side = (cell % cells) * frame.sides.length + frame.sides.indexOf(keys.side);
    const row = (side * frame.directions + keys.index) * 2 + (keys.sign < 0 ? 1 : 0);
    const windows = Array.from({ length: n }, (_, place) => row * n + place)
      .filter((place) => columns.windows[place] > 0)
      .map((place) => {
        const [before, token, after] = columns.texts.slice(3 * (columns.windows[place] - 1), 3 * columns.windows[place]);
        return { before, token, after, projection: columns.projections[place] };
      });
    const { auc_at, p_at, auc_next, p_next } = columns;
    return { windows, auc_at: auc_at[row], p_at: p_at[row], auc_next: auc_next[row], p_next: p_next[row] };
  }

  /**
   * Whether examples of these lists were looked for; never of random directions.
   * @param {Source} of
   */
  function hasExamples({ model, entry, frame }) {
    return Boolean(entry.examples) && frame === model.frames[entry.frame];
  }

  return {
    catalogue, models, modelOf, settingsOf, matricesOf, source, randomOf, labellersOf,
    cellOf, keysOf, partOf, vocabularyOf, lists, listsOfCell, spectrum, examples, hasExamples,
  };
})();
