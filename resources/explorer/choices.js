// What is shown: from the address to a choice that the sweep has, and the choices at the top of the page.
"use strict";
var svdlens = window.svdlens || {};

/**
 * What is shown: what the address asks for, defaults put in.
 * @typedef {object} Chosen
 * @property {Asked} asked
 * @property {Model} model
 * @property {string} setting
 * @property {string} matrix
 * @property {Source} source of these three
 * @property {Summary} summary of the source
 * @property {string} readout
 * @property {Quantity} quantity
 * @property {string} side
 * @property {boolean} random whether random directions are shown
 * @property {string[]} labellings labeller:criterion; without a criterion where the labeller is of other sources alone
 * @property {string | null} labelling
 * @property {string | null} labeller of the labelling
 * @property {Beside | null} other
 * @property {string[]} problems names that the sweep does not have
 */
/** @typedef {{model: Model, setting: string, source: Source | null}} Beside What is put beside; it may lack the matrix. */

svdlens.choices = (function () {
  const { element, byId, optionsOf, segments, select } = svdlens.dom;
  const { sweep, quantities, state, text } = svdlens;

  /**
   * The name that is asked for, or else the first that is known, which is said.
   * @param {string} kind what the sweep may have
   * @param {string | undefined} name
   * @param {string[]} known
   * @param {string[]} problems
   * @param {string} [owner] the model that lacks what others of the sweep have
   */
  function knownName(kind, name, known, problems, owner = "This sweep") {
    if (name !== undefined && known.includes(name)) return name;
    if (name !== undefined) problems.push(`${owner} has no ${kind} \u201c${name}\u201d; here is ${known[0]}.`);
    return known[0];
  }

  /**
   * Who lacks a name: this model if another one has it, else the sweep.
   * @param {Model} model
   * @param {string | undefined} name
   * @param {(model: Model) => string[]} namesOf what a model has
   */
  function whoLacks(model, name, namesOf) {
    const elsewhere = name !== undefined && sweep.models().some((one) => namesOf(one).includes(name));
    return elsewhere ? model.name : undefined;
  }

  /** @param {Model} model */
  const matricesIn = (model) => Object.keys(model.matrices);

  /** @param {Model} model */
  const readoutsOf = (model) => model.frames.flatMap((frame) => frame.readouts);

  /**
   * @param {Asked} asked
   * @returns {Promise<Chosen>}
   */
  async function chosenBy(asked) {
    /** @type {string[]} */
    const problems = [];
    const names = sweep.models().map((one) => one.name);
    const model = sweep.modelOf(knownName("model", asked.model, names, problems));
    const setting = knownName("setting", asked.setting, sweep.settingsOf(model), problems, whoLacks(model, asked.setting, sweep.settingsOf));
    const matrix = knownName("matrix", asked.matrix, sweep.matricesOf(model, setting), problems, whoLacks(model, asked.matrix, matricesIn));
    const source = /** @type {Source} */ (sweep.source(model, setting, matrix));
    const readout = knownName("read-out", asked.readout, source.frame.readouts, problems, whoLacks(model, asked.readout, readoutsOf));
    const quantity = quantityAsked(asked.colour, problems);
    const side = sideAsked(asked.side, source, problems);
    const other = asked.model2 || asked.setting2 ? besideBy(asked, model, setting, matrix, problems) : null;
    const summary = await quantities.summaryOf(source);
    const ofSource = quantities.labellings(summary);
    const labellings = [...ofSource, ...otherLabellers(model, ofSource)];
    if (asked.labels && !labellings.includes(asked.labels)) {
      const instead = labellings.length ? `; here are those of ${nameOfLabelling(labellings[0])}` : "";
      problems.push(`This sweep has no labels \u201c${asked.labels}\u201d${instead}.`);
    }
    const labelling = asked.labels && labellings.includes(asked.labels) ? asked.labels : labellings[0] || null;
    const labeller = labelling && quantities.partsOf(labelling).labeller;
    const random = asked.layer === "random";
    problems.push(...wordsAsked(asked));
    return { asked, model, setting, matrix, source, summary, readout, quantity, side, random, labellings, labelling, labeller, other, problems };
  }

  /**
   * The quantity that colours the grid.
   * @param {string | undefined} key
   * @param {string[]} problems
   */
  function quantityAsked(key, problems) {
    const [first] = quantities.QUANTITIES;
    const found = quantities.quantityOf(key);
    const known = quantities.QUANTITIES.map((one) => one.key).join(", ");
    if (key !== undefined && !found) problems.push(`No colour is called \u201c${key}\u201d; here is ${first.key}. There are ${known}.`);
    return found || first;
  }

  /**
   * The side that the grid shows, or all.
   * @param {string | undefined} name
   * @param {Source} source
   * @param {string[]} problems
   */
  function sideAsked(name, { matrix, frame }, problems) {
    if (name === undefined || name === "all") return "all";
    if (frame.sides.includes(name)) return name;
    problems.push(`${text.matrix(matrix)} has no side \u201c${name}\u201d, it has ${frame.sides.join(" and ")}; here is all of it.`);
    return "all";
  }

  /** What the address has a choice of words for, the first of which stands for none. */
  const WORDS = /** @type {const} */ ([
    ["view", ["grid", "search", "agreement"]],
    ["only", ["all", "interpretable", "beyond"]],
    ["find", ["tokens", "labels"]],
    ["where", ["all", "here"]],
    ["lists", ["differ", "only_first", "only_second", "both", "neither"]],
  ]);

  /**
   * What is wrong with the words of an address.
   * @param {Asked} asked
   */
  function wordsAsked(asked) {
    const wrong = WORDS.flatMap(([key, words]) => {
      const word = asked[key];
      if (word === undefined || words.some((known) => known === word)) return [];
      return [`\u201c${key}=${word}\u201d in the address says nothing; there are ${words.join(", ")}, and here is ${words[0]}.`];
    });
    if (asked.view === "search" && !asked.q) wrong.push("The address asks for a search and has no text to search for (q); here is the grid.");
    const unknown = state.unknownKeys(location.hash).map((key) => `\u201c${key}\u201d in the address says nothing to this page.`);
    return [...wrong, ...unknown];
  }

  /**
   * What the address puts beside a model and setting.
   * @param {Asked} asked
   * @param {Model} model
   * @param {string} setting
   * @param {string} matrix
   * @param {string[]} problems
   * @returns {Beside}
   */
  function besideBy(asked, model, setting, matrix, problems) {
    const names = sweep.models().map((one) => one.name);
    const other = sweep.modelOf(knownName("model", asked.model2 || model.name, names, problems));
    const known = sweep.settingsOf(other);
    const wanted = asked.setting2 || (known.includes(setting) ? setting : known[0]);
    const otherSetting = knownName("setting", wanted, known, problems, whoLacks(other, wanted, sweep.settingsOf));
    return { model: other, setting: otherSetting, source: sweep.source(other, otherSetting, matrix) };
  }

  /**
   * Labellers of a model that are in none of these labellings, as labellings without a criterion.
   * @param {Model} model
   * @param {string[]} labellings
   */
  function otherLabellers(model, labellings) {
    const entries = Object.values(model.matrices).flatMap((settings) => Object.values(settings));
    const names = new Set(entries.flatMap((entry) => sweep.labellersOf(entry)));
    for (const labelling of labellings) names.delete(quantities.partsOf(labelling).labeller);
    return [...names].map((name) => `${name}:`);
  }

  // --- at the top of the page ---

  /** @param {string} labelling */
  function nameOfLabelling(labelling) {
    const { labeller, criterion } = quantities.partsOf(labelling);
    if (!criterion) return labeller;
    return `${labeller}, ${/^[PVB]$/.test(criterion) ? `criterion ${criterion}` : criterion}`;
  }

  /** @param {Chosen} chosen */
  function showChoices(chosen) {
    const { asked, model, setting, matrix, readout, source, other, labellings, labelling } = chosen;
    const models = optionsOf(sweep.models().map((one) => one.name));
    const matrices = optionsOf(sweep.matricesOf(model, setting), text.matrix);
    const { readouts } = source.frame;
    const shown = [
      select("Model", "model", models, model.name, (name) => state.go({ model: name, layer: null, head: null, open: null })),
      select("Setting", "setting", optionsOf(sweep.settingsOf(model)), setting, (name) => state.go({ setting: name })),
      ...(other ? choicesBeside(other, models) : []),
      segments("Matrix", "matrix", matrices, matrix, (name) => state.go({ matrix: name, layer: null, head: null, open: null, side: null })),
    ];
    if (readouts.length > 1) shown.push(select("Read-out", "readout", optionsOf(readouts), readout, (name) => state.go({ readout: name })));
    // The page of agreement has a choice of two labellers of its own.
    if (labellings.length > 1 && asked.view !== "agreement") {
      shown.push(select("Labels", "labels", optionsOf(labellings, nameOfLabelling), labelling, (name) => state.go({ labels: name })));
    }
    byId("choices").replaceChildren(...shown);
  }

  /**
   * @param {Beside} other
   * @param {Option[]} models
   */
  function choicesBeside({ model, setting }, models) {
    return [
      element("span", { class: "beside" }, "beside"),
      select("Model", "model2", models, model.name, (name) => state.go({ model2: name, setting2: null })),
      select("Setting", "setting2", optionsOf(sweep.settingsOf(model)), setting, (name) => state.go({ model2: model.name, setting2: name })),
    ];
  }

  /**
   * The first thing to put beside what is shown: another setting, or else another model.
   * @param {Chosen} chosen
   */
  function firstBeside({ model, setting }) {
    const settings = sweep.settingsOf(model).filter((name) => name !== setting);
    if (settings.length) return { model2: model.name, setting2: settings[0] };
    const other = sweep.models().find((one) => one !== model);
    return other ? { model2: other.name, setting2: null } : null;
  }

  return { chosenBy, showChoices, firstBeside };
})();
