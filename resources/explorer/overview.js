// The overview: grids of one or two sources, their legend, and what is to be kept in mind.
"use strict";
var svdlens = window.svdlens || {};

/**
 * The overview on the page, with the parts of it that change while it stays.
 * @typedef {object} Overview
 * @property {string} key of what it shows
 * @property {HTMLElement} made
 * @property {HTMLElement[]} grids
 * @property {HTMLElement} description of the cell that is looked at
 * @property {HTMLElement} problems
 * @property {HTMLElement | null} random
 * @property {Cell[]} cells of the first grid
 */

svdlens.overview = (function () {
  const { element, notice, optionsOf, segments, select } = svdlens.dom;
  const { agreement, quantities, colours, grid, state, text, csv } = svdlens;

  /**
   * The overview, the same as before where nothing in it changes but the cell that is open.
   * @param {Chosen} chosen
   * @param {Overview | null} before
   * @returns {Promise<Overview>}
   */
  async function overviewOf(chosen, before) {
    const { model, setting, matrix, readout, labelling, quantity, side, other } = chosen;
    const beside = other && [other.model.name, other.setting];
    const key = JSON.stringify([model.name, setting, matrix, readout, labelling, quantity.key, side, beside, colours.theme()]);
    return before && before.key === key ? before : newOverview(key, chosen);
  }

  /**
   * Mark the cell that is open, and say what is wrong with the address.
   * @param {Overview} shown
   * @param {Cell | null} cell
   * @param {Chosen} chosen
   */
  function mark(shown, cell, { random, problems }) {
    const [marked] = shown.grids.map((table) => grid.mark(table, cell));
    shown.description.textContent = marked ? marked.getAttribute("aria-label") : "";
    shown.problems.replaceChildren(...problems.map(notice));
    if (random) shown.random?.setAttribute("aria-current", "page");
    else shown.random?.removeAttribute("aria-current");
  }

  /**
   * @param {string} key
   * @param {Chosen} chosen
   * @returns {Promise<Overview>}
   */
  async function newOverview(key, chosen) {
    const { quantity, other, source, side, labelling } = chosen;
    const sources = other && other.source ? [source, other.source] : [source];
    const summaries = await Promise.all(sources.map((one) => quantities.summaryOf(one)));
    const cells = sources.map((one, i) => grid.cellsOf(one, summaries[i], quantity, chosen));
    const known = cells.flat().flatMap((cell) => cell.found || []);
    const scale = colours.scaleOf(quantity.scale, known.map((one) => one.value));
    const description = element("p", { class: "description", "aria-hidden": "true" });
    /** @param {Cell} cell */
    const choose = (cell) => state.go({ ...grid.addressOf(cell), open: null });
    const grids = sources.map((one, i) => {
      const table = grid.gridOf(one, cells[i], quantity, scale, choose, (words) => (description.textContent = words));
      table.querySelectorAll("button").forEach((button) => (button.id = `cell-${i}-${button.dataset.layer}-${button.dataset.head}`));
      return table;
    });
    /** @type {(one: Quantity) => Option} */
    const option = (one) => [one.key, one.name, labelling || one.fact ? null : "no labels"];
    const options = [
      { name: "Lists", options: quantities.QUANTITIES.filter((one) => !one.fact).map(option) },
      { name: "Singular values", options: quantities.QUANTITIES.filter((one) => one.fact).map(option) },
    ];
    const { sides } = source.frame;
    /** @param {string} name */
    const chooseSide = (name) => state.go({ side: name === "all" ? null : name });
    const random = source.entry.random && !other ? element("a", { class: "quiet", href: "#" }, "Random directions") : null;
    const compared = agreement.comparedPlace(chosen.model, source.setting, source.matrix);
    /** @param {Event} event */
    const showAgreement = (event) => {
      event.preventDefault();
      state.go({ view: "agreement", ...compared, model2: null, setting2: null });
    };
    const differ = compared ? element("a", { class: "quiet", href: "#", onclick: showAgreement }, "Where labellers differ") : null;
    const problems = element("div", { class: "problems" });
    const made = element(
      "section",
      { class: "overview", "aria-label": "Overview" },
      element(
        "div",
        { class: "overview-tools" },
        select("Colour by", "colour", options, quantity.key, (key) => state.go({ colour: key })),
        sides.length > 1 && !quantity.fact
          ? segments("Side", "side", [["all", "both"], ...optionsOf(sides)], side, chooseSide)
          : null
      ),
      problems,
      ...remarks(chosen, summaries[0], cells[0]).map(notice),
      known.length ? grid.legend(quantity, scale, known.map((one) => one.control)) : null,
      description,
      element("div", { class: "axis-name", "aria-hidden": "true" }, source.frame.layers[0] < 0 ? "" : source.frame.heads[0] < 0 ? "layer" : "layer \u2193   head \u2192"),
      element("div", { class: "grids" }, ...grids.map((table, i) => element("div", { class: "grid-of" }, other ? element("h3", {}, text.source(sources[i])) : null, table))),
      ...sources.map((one, i) => overall(chosen, summaries[i], other ? `${text.source(one)}: ` : "")),
      element("div", { class: "actions" }, csv.button(() => gridCsv(chosen, sources, cells)), random, differ)
    );
    random?.addEventListener("click", (event) => {
      event.preventDefault();
      state.go({ layer: "random", head: null, open: null });
    });
    return { key, made, grids, description, problems, random, cells: cells[0] };
  }

  /**
   * The cell that the address asks for, or else that with the largest value, and in words why it is shown where the
   * address does not say just this one.
   * @param {Chosen} chosen
   * @param {Cell[]} cells
   * @returns {{cell: Cell, why: string | null}}
   */
  function cellAsked({ asked, model, matrix, quantity, source, problems }, cells) {
    const { layers, heads } = source.frame;
    const layer = asked.layer === undefined ? undefined : numberAsked(asked.layer, layers);
    const head = asked.head === undefined ? undefined : numberAsked(asked.head, heads);
    const wrong = [];
    if (layer === null) wrong.push(layers[0] < 0 ? `no layers, and the address has layer ${asked.layer}` : `no layer ${asked.layer}, it has ${text.numbers(layers)}`);
    if (head === null) wrong.push(heads[0] < 0 ? `no heads, and the address has head ${asked.head}` : `no head ${asked.head}, it has ${text.numbers(heads)}`);
    const left = cells.filter((cell) => (typeof layer !== "number" || cell.layer === layer) && (typeof head !== "number" || cell.head === head));
    const cell = grid.largest(left);
    const shown = text.cell(cell.layer, cell.head).toLowerCase();
    if (wrong.length) problems.push(`${text.matrix(matrix)} of ${model.name} has ${wrong.join(", and ")}; here is ${shown}.`);
    if (left.length === 1) return { cell, why: null };
    const unasked = asked.model === undefined && asked.setting === undefined && asked.matrix === undefined;
    const firsts = unasked ? " Model, setting and kind of matrix are the first of the sweep." : "";
    if (!cell.found) return { cell, why: `Shown because it is the first.${firsts}` };
    return { cell, why: `Shown because \u201c${quantity.name}\u201d is largest here, ${whereOf(layer, head)}; choose another in the grid.${firsts}` };
  }

  /**
   * A number of the address, if it is one of those that there are.
   * @param {string} words
   * @param {number[]} known
   */
  function numberAsked(words, known) {
    return /^\d+$/.test(words) && known.includes(Number(words)) ? Number(words) : null;
  }

  /**
   * Among which cells the largest value was looked for.
   * @param {number | null | undefined} layer
   * @param {number | null | undefined} head
   */
  function whereOf(layer, head) {
    if (typeof layer === "number") return `in layer ${layer}`;
    if (typeof head === "number") return `among the heads ${head} of all layers`;
    return "among all matrices";
  }

  /**
   * The fraction of all lists of this kind of matrix, beside that of random directions.
   * @param {Reading} reading
   * @param {Summary} summary
   * @param {string} before
   */
  function overall(reading, summary, before) {
    const found = quantities.fraction(summary, reading, "all", -1, -1);
    if (!found || !found.n) return null;
    const { percent, range } = text;
    const control = Number.isNaN(found.control_fraction) ? "no control" : `random directions ${percent(found.control_fraction, 1)}`;
    return element(
      "p",
      { class: "overall" },
      before,
      element("b", {}, percent(found.value, 1)),
      ` of ${found.n.toLocaleString("en")} lists are interpretable (95\u202f%: ${range(found.low, found.high, 1)}); ${control}.`
    );
  }

  /**
   * What is missing, or to be kept in mind.
   * @param {Chosen} chosen
   * @param {Summary} summary
   * @param {Cell[]} cells
   */
  function remarks(chosen, summary, cells) {
    const { model, matrix, quantity, other, labeller, source } = chosen;
    const texts = [missingLabels(chosen, summary, cells), agreement.remarkOn(source, labeller)];
    const labels = labeller === null ? undefined : source.entry.labels[labeller];
    if (labels && labels.labeller_network) texts.push(`${model.name} is the network with which the labeller embeds: its labels are no independent evidence.`);
    if (labels && quantity.key === "rank" && labels.token_frequency !== "counts") texts.push("No counts of tokens are known: their order in the tokenizer stands for their frequency.");
    if (other && !other.source) texts.push(`${other.model.name} has no ${text.matrix(matrix)} in ${other.setting}.`);
    return texts.flatMap((one) => one || []);
  }

  /**
   * Why cells have no value for want of labels; null where they have, or need none.
   * @param {Chosen} chosen
   * @param {Summary} summary
   * @param {Cell[]} cells
   */
  function missingLabels(chosen, summary, cells) {
    const { matrix, setting, labeller, quantity, source } = chosen;
    if (labeller === null) return "This sweep has no labels: the grid shows singular values, and lists have no names.";
    const missing = cells.filter((cell) => !cell.found);
    if (quantity.fact || !missing.length) return null;
    if (!(labeller in source.entry.labels)) return `No labels by ${labeller} of ${text.matrix(matrix)} in ${setting}, in this sweep.`;
    if (missing.every((cell) => cell.zero)) {
      const which = missing.length < cells.length ? "Hatched matrices are" : `Every matrix of ${text.matrix(matrix)} in ${setting} is`;
      return `${which} zero: all directions are null space, which has no lists to label.`;
    }
    if (missing.length < cells.length) return `Some matrices have no labels by ${labeller}; they are hatched.`;
    const all = quantities.fraction(summary, { ...chosen, side: "all" }, "all", -1, -1);
    if (!all || !all.n) return `${labeller} gave no answer to any list of ${text.matrix(matrix)} in ${setting}.`;
    return `${labeller} does not say this of its lists.`;
  }

  /**
   * @param {Chosen} chosen
   * @param {Source[]} sources
   * @param {Cell[][]} cells of each source
   * @returns {CsvFile}
   */
  function gridCsv({ model, setting, matrix, quantity, readout, labelling, side }, sources, cells) {
    const header = ["model", "setting", "matrix", "readout", "labels", "quantity", "side", "layer", "head", "value", "low", "high", "k", "n", "random_directions"];
    /** @type {("value" | "low" | "high" | "k" | "n" | "control")[]} */
    const numbers = ["value", "low", "high", "k", "n", "control"];
    /** @param {number | null | undefined} value */
    const rounded = (value) => (quantities.isKnown(value) ? Number(value.toPrecision(6)) : null);
    const reading = quantity.fact ? { readout: null, labelling: null, side: null } : { readout, labelling, side };
    const rows = sources.flatMap((source, i) =>
      cells[i].map(({ layer, head, found }) => [
        source.model.name, source.setting, source.matrix, reading.readout, reading.labelling,
        quantity.key, reading.side, layer < 0 ? null : layer, head < 0 ? null : head,
        ...numbers.map((name) => rounded(found?.[name])),
      ])
    );
    return [`svdlens_${model.name}_${setting}_${matrix}_${quantity.key}`, header, rows];
  }

  return { overviewOf, mark, cellAsked, missingLabels };
})();
