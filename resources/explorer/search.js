// Search over the whole sweep: which tokens and names match, and where they are.
"use strict";
var svdlens = window.svdlens || {};

svdlens.search = (function () {
  const { shards, sweep } = svdlens;
  const PICKED = 24; // tokens picked at first where none is just what was asked for

  const plain = (text) => text.trim().toLowerCase();

  /** 0: the same but for case and spaces; 1: begins with it; 2: contains it; null: none of these. */
  function rank(text, query) {
    const at = text.indexOf(query);
    return at < 0 ? null : text === query ? 0 : at === 0 ? 1 : 2;
  }

  /** Texts of tokens that match, the best and most frequent first: {text, rank, rows, places: [{model, token}]}. */
  async function tokensLike(query, models) {
    const asked = plain(query);
    const found = new Map();
    if (!asked) return [];
    for (const model of models) {
      const words = await sweep.vocabulary(model);
      if (!words.plain) words.plain = words.texts.map((text) => plain(text).replace(/^##/, ""));
      for (let token = 0; token < words.plain.length; token++) {
        const near = words.rows[token] ? rank(words.plain[token], asked) : null;
        if (near === null) continue;
        const text = words.texts[token];
        if (!found.has(text)) found.set(text, { text, rank: near, rows: 0, places: [] });
        const one = found.get(text);
        one.rows += words.rows[token];
        one.places.push({ model, token });
      }
    }
    return [...found.values()].sort((a, b) => a.rank - b.rank || b.rows - a.rows || (a.text < b.text ? -1 : 1));
  }

  /** The tokens that are picked: those named, or else the best. */
  function picked(tokens, names) {
    if (names) return tokens.filter((token) => names.includes(token.text));
    if (!tokens.length) return [];
    const best = tokens.filter((token) => token.rank === tokens[0].rank);
    return best[0].rank === 0 ? best : best.slice(0, PICKED);
  }

  /** Where the tokens are: {model, row, tables, hits}, `row` counted through all frames of the model. */
  async function rowsWith(tokens) {
    const byModel = new Map();
    for (const { places } of tokens) {
      for (const { model, token } of places) {
        if (!byModel.has(model)) byModel.set(model, []);
        byModel.get(model).push(token);
      }
    }
    const found = [];
    for (const [model, wanted] of byModel) {
      const words = await sweep.vocabulary(model);
      const parts = new Map();
      for (const token of wanted) {
        const part = words.parts[token];
        if (!parts.has(part)) parts.set(part, []);
        parts.get(part).push(token);
      }
      const rows = new Map();
      await Promise.all(
        [...parts].map(async ([part, own]) => {
          const { columns } = await shards.load(model.index[part]);
          for (const token of own) {
            const place = columns.tokens.indexOf(token);
            if (place < 0) throw shards.damaged(model.index[part], `it lacks the token \u201c${words.texts[token]}\u201d`);
            collect(columns, place, rows);
          }
        })
      );
      for (const [row, [tables, hits]] of rows) found.push({ model, row, tables, hits });
    }
    return found;
  }

  /** Add the rows of the token at `place` in its part of the index to `rows`: row -> [tables, hits]. */
  function collect({ sizes, steps, tables }, place, rows) {
    const start = sizes.subarray(0, place).reduce((sum, size) => sum + size, 0);
    let row = 0;
    for (let i = start; i < start + sizes[place]; i++) {
      row += steps[i];
      const before = rows.get(row);
      if (before) {
        before[0] |= tables[i];
        before[1] += 1;
      } else rows.set(row, [tables[i], 1]);
    }
  }

  /** The frame of a row that is counted through all frames, and its place there. */
  function inFrame(model, row) {
    let place = model.frames.length - 1;
    while (model.frames[place].offset > row) place--;
    return { frame: place, row: row - model.frames[place].offset };
  }

  function settingsWith(model, frame, holds) {
    const settings = model.matrices[model.frames[frame].matrix];
    return sweep.settingsOf(model).filter((name) => settings[name] && settings[name].frame === frame && holds(settings[name]));
  }

  /** Results of a search for tokens: {model, matrix, settings, row, hits}, best first. */
  async function lists(tokens) {
    return (await rowsWith(tokens)).map(({ model, row, tables, hits }) => {
      const at = inFrame(model, row);
      const settings = settingsWith(model, at.frame, (entry) => (tables >> entry.table) & 1);
      return { model, matrix: model.frames[at.frame].matrix, settings, row: at.row, hits };
    });
  }

  /** Results of a search for names that a labeller gave: the same, with `name`, and hits 3, 2 or 1 by how well it fits. */
  async function named(query, labeller, models) {
    const asked = plain(query);
    const found = new Map();
    if (!asked) return [];
    const said = models.flatMap((model) =>
      Object.entries(model.matrices).flatMap(([matrix, settings]) =>
        Object.entries(settings)
          .filter(([, entry]) => labeller in entry.labels)
          .map(([setting, entry]) => ({ model, matrix, setting, frame: entry.frame, shard: entry.labels[labeller].names }))
      )
    );
    // All at once: one after the other, they would wait for each other.
    const loaded = await Promise.all(said.map(({ shard }) => shards.load(shard)));
    said.forEach(({ model, matrix, setting, frame }, i) => {
      const { names, name: named } = loaded[i].columns;
      const fits = names.map((name) => rank(plain(name), asked));
      if (fits.every((near) => near === null)) return;
      for (let row = 0; row < named.length; row++) {
        const place = named[row] - 1;
        if (place < 0 || fits[place] === null) continue;
        const key = `${model.name}\n${matrix}\n${frame}\n${row}\n${names[place]}`;
        if (!found.has(key)) {
          found.set(key, { model, matrix, settings: [], row, name: names[place], hits: 3 - fits[place] });
        }
        found.get(key).settings.push(setting);
      }
    });
    return [...found.values()];
  }

  /** Those `here` (in this model and setting) first, then the better, then in the order of the sweep. */
  function sorted(results, model, setting) {
    const here = (one) => (one.model.name === model && one.settings.includes(setting) ? 0 : 1);
    const order = (one) => one.model.frames[one.model.matrices[one.matrix][one.settings[0]].frame].offset + one.row;
    const places = new Map(sweep.models().map((one, place) => [one, place]));
    return results
      .map((one) => ({ ...one, here: here(one) === 0 }))
      .sort((a, b) => b.hits - a.hits || b.here - a.here || places.get(a.model) - places.get(b.model) || order(a) - order(b));
  }

  return { tokensLike, picked, lists, named, sorted };
})();
