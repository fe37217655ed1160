// Search over the whole sweep: which tokens and names match, and where they are.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {0 | 1 | 2} Match 0: the same but for case and spaces; 1: begins with it; 2: contains it. */
/** @typedef {{model: Model, token: number}} TokenPlace A token by its number in the vocabulary of a model. */
/** @typedef {{text: string, match: Match, rows: number, places: TokenPlace[]}} FoundToken `rows`: how many lists have it. */
/** @typedef {{model: Model, row: number, tables: number, hits: number}} Posting A row of all frames; the tables as bits. */
/**
 * A list that was found; `row` in its frame. `hits`: how many tokens, or how well its name fits.
 * @typedef {{model: Model, matrix: string, settings: string[], row: number, hits: number}} FoundList
 */
/** @typedef {Record<"tokens" | "sizes" | "steps" | "tables", Int32Array>} IndexColumns Rows of each token, as steps. */

svdlens.search = (function () {
  const { shards, sweep } = svdlens;
  const MOST_PICKED = 24; // tokens picked at first where none is just what was asked for

  /** @param {string} text */
  const normalized = (text) => text.trim().toLowerCase();

  /**
   * How a text fits a query; null: not at all.
   * @param {string} text
   * @param {string} query
   * @returns {Match | null}
   */
  function matchOf(text, query) {
    const at = text.indexOf(query);
    if (at < 0) return null;
    if (text === query) return 0;
    return at === 0 ? 1 : 2;
  }

  /**
   * Texts of all tokens of a model as they are searched.
   * @param {Model} model
   */
  async function searchedTexts(model) {
    const vocabulary = await sweep.vocabularyOf(model);
    if (!vocabulary.plain) vocabulary.plain = vocabulary.columns.texts.map((text) => normalized(text).replace(/^##/, ""));
    return vocabulary.plain;
  }

  /**
   * Tokens that match, the best and most frequent first.
   * @param {string} query
   * @param {Model[]} models
   * @returns {Promise<FoundToken[]>}
   */
  async function tokensLike(query, models) {
    const asked = normalized(query);
    if (!asked) return [];
    /** @type {Map<string, FoundToken>} */
    const found = new Map();
    for (const model of models) {
      const { texts, rows } = (await sweep.vocabularyOf(model)).columns;
      const searched = await searchedTexts(model);
      for (let token = 0; token < searched.length; token++) {
        const match = rows[token] ? matchOf(searched[token], asked) : null;
        if (match === null) continue;
        const before = found.get(texts[token]) || { text: texts[token], match, rows: 0, places: [] };
        before.rows += rows[token];
        before.places.push({ model, token });
        found.set(texts[token], before);
      }
    }
    return [...found.values()].sort((a, b) => a.match - b.match || b.rows - a.rows || (a.text < b.text ? -1 : 1));
  }

  /**
   * The tokens that are picked: those named, or else the best.
   * @param {FoundToken[]} tokens
   * @param {string[] | undefined} names
   */
  function picked(tokens, names) {
    if (names) return tokens.filter((token) => names.includes(token.text));
    const best = tokens.filter((token) => token.match === tokens[0].match);
    return best.length && best[0].match === 0 ? best : best.slice(0, MOST_PICKED);
  }

  /**
   * `values` by their keys.
   * @template Key, Value
   * @param {Iterable<[Key, Value]>} pairs
   */
  function grouped(pairs) {
    /** @type {Map<Key, Value[]>} */
    const groups = new Map();
    for (const [key, value] of pairs) {
      const group = groups.get(key);
      if (group) group.push(value);
      else groups.set(key, [value]);
    }
    return groups;
  }

  /**
   * Where the tokens are.
   * @param {FoundToken[]} tokens
   */
  async function postingsOf(tokens) {
    const byModel = grouped(tokens.flatMap(({ places }) => places).map(({ model, token }) => [model, token]));
    const postings = await Promise.all([...byModel].map(([model, numbers]) => postingsOfModel(model, numbers)));
    return postings.flat();
  }

  /**
   * @param {Model} model
   * @param {number[]} tokens
   */
  async function postingsOfModel(model, tokens) {
    const { texts, parts } = (await sweep.vocabularyOf(model)).columns;
    /** @type {Map<number, Posting>} */
    const postings = new Map();
    const byPart = grouped(tokens.map((token) => [parts[token], token]));
    const readPart = async (/** @type {[number, number[]]} */ [part, tokensOfPart]) => {
      /** @type {Shard<IndexColumns, {}>} */
      const { columns } = await shards.load(model.index[part]);
      for (const token of tokensOfPart) {
        const place = columns.tokens.indexOf(token);
        if (place < 0) throw shards.damaged(model.index[part], `it lacks the token \u201c${texts[token]}\u201d`);
        addPostings(model, columns, place, postings);
      }
    };
    await Promise.all([...byPart].map(readPart));
    return [...postings.values()];
  }

  /**
   * Add those of the token at `place` in its part of the index.
   * @param {Model} model
   * @param {IndexColumns} columns
   * @param {number} place
   * @param {Map<number, Posting>} postings by row
   */
  function addPostings(model, { sizes, steps, tables }, place, postings) {
    const start = sizes.subarray(0, place).reduce((sum, size) => sum + size, 0);
    let row = 0;
    for (let i = start; i < start + sizes[place]; i++) {
      row += steps[i];
      const before = postings.get(row) || { model, row, tables: 0, hits: 0 };
      before.tables |= tables[i];
      before.hits += 1;
      postings.set(row, before);
    }
  }

  /**
   * The list of a posting, with the settings in which it has the token.
   * @param {Posting} posting
   * @returns {FoundList}
   */
  function listOf({ model, row, tables, hits }) {
    const place = model.frames.filter((one) => one.offset <= row).length - 1;
    const frame = model.frames[place];
    const entries = model.matrices[frame.matrix];
    const settings = sweep.settingsOf(model).filter((name) => {
      const entry = entries[name];
      return entry && entry.frame === place && (tables >> entry.table) & 1;
    });
    return { model, matrix: frame.matrix, settings, row: row - frame.offset, hits };
  }

  /**
   * The lists that have one of the tokens.
   * @param {FoundToken[]} tokens
   */
  async function listsWith(tokens) {
    return (await postingsOf(tokens)).map(listOf);
  }

  /**
   * The lists to which a labeller gave a name that matches.
   * @param {string} query
   * @param {string} labeller
   * @param {Model[]} models
   * @returns {Promise<FoundList[]>}
   */
  async function listsNamed(query, labeller, models) {
    const asked = normalized(query);
    if (!asked) return [];
    const labelled = models.flatMap((model) =>
      Object.entries(model.matrices).flatMap(([matrix, settings]) =>
        Object.entries(settings)
          .filter(([, entry]) => labeller in entry.labels)
          .map(([setting, entry]) => ({ model, matrix, setting, entry }))
      )
    );
    // All at once: one after the other, they would wait for each other.
    /** @type {NameShard[]} */
    const loaded = await Promise.all(labelled.map(({ entry }) => shards.load(entry.labels[labeller].names)));
    /** @type {Map<string, FoundList>} */
    const found = new Map();
    labelled.forEach(({ model, matrix, setting, entry }, i) => {
      const { names, name: nameOfRow } = loaded[i].columns;
      const matches = names.map((name) => matchOf(normalized(name), asked));
      if (matches.every((match) => match === null)) return;
      for (let row = 0; row < nameOfRow.length; row++) {
        const place = nameOfRow[row] - 1;
        const match = place < 0 ? null : matches[place];
        if (match === null) continue;
        const key = [model.name, matrix, entry.frame, row, names[place]].join("\n");
        const before = found.get(key) || { model, matrix, settings: [], row, hits: 3 - match };
        before.settings.push(setting);
        found.set(key, before);
      }
    });
    return [...found.values()];
  }

  /**
   * The better first, then those in this model and setting, then in the order of the sweep.
   * @param {FoundList[]} results
   * @param {Model} model
   * @param {string} setting
   */
  function sorted(results, model, setting) {
    /** @param {FoundList} one */
    const isHere = (one) => Number(one.model === model && one.settings.includes(setting));
    /** @param {FoundList} one */
    const rowOfModel = (one) => one.model.frames[one.model.matrices[one.matrix][one.settings[0]].frame].offset + one.row;
    const order = new Map(sweep.models().map((one, place) => [one, place]));
    /** @param {FoundList} one */
    const place = (one) => Number(order.get(one.model));
    return [...results].sort((a, b) => b.hits - a.hits || isHere(b) - isHere(a) || place(a) - place(b) || rowOfModel(a) - rowOfModel(b));
  }

  return { tokensLike, picked, listsWith, listsNamed, sorted };
})();
