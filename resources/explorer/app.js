// The page: from the address to what is shown.
"use strict";

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
 * @property {string[]} labellings labeller:rule; without a rule where the labeller is of other sources alone
 * @property {string | null} labelling
 * @property {string | null} labeller of the labelling
 * @property {Beside | null} other
 * @property {string[]} problems names that the sweep does not have
 */
/** @typedef {{model: Model, setting: string, source: Source | null}} Beside What is put beside; it may lack the matrix. */
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

(function () {
  const { element, byId, announce, notice, messageOf, segments, select } = svdlens.dom;
  const { sweep, quantities, colours, grid, lists: listViews, pairs, state, text, csv, results } = svdlens;
  let renderings = 0;
  /** @type {Overview | null} The one on the page. */
  let overview = null;

  // --- from the address to a choice that the sweep has ---

  /**
   * The name that is asked for, or else the first that is known.
   * @param {string} kind
   * @param {string | undefined} name
   * @param {string[]} known
   * @param {string[]} problems
   */
  function knownName(kind, name, known, problems) {
    if (name !== undefined && known.includes(name)) return name;
    if (name !== undefined) problems.push(`This sweep has no ${kind} \u201c${name}\u201d; here is ${known[0]}.`);
    return known[0];
  }

  /**
   * @param {Asked} asked
   * @returns {Promise<Chosen>}
   */
  async function chosenBy(asked) {
    /** @type {string[]} */
    const problems = [];
    const names = sweep.models().map((one) => one.name);
    const model = sweep.modelOf(knownName("model", asked.model, names, problems));
    const setting = knownName("setting", asked.setting, sweep.settingsOf(model), problems);
    const matrix = knownName("matrix", asked.matrix, sweep.matricesOf(model, setting), problems);
    const source = /** @type {Source} */ (sweep.source(model, setting, matrix));
    const readout = knownName("read-out", asked.readout, source.frame.readouts, problems);
    const quantity = quantities.quantityOf(asked.colour) || quantities.QUANTITIES[0];
    const side = asked.side && source.frame.sides.includes(asked.side) ? asked.side : "all";
    const other = asked.model2 || asked.setting2 ? besideBy(asked, model, setting, matrix, problems) : null;
    const summary = await quantities.summaryOf(source);
    const ofSource = quantities.labellings(summary);
    const labellings = [...ofSource, ...otherLabellers(model, ofSource)];
    if (asked.labels && !labellings.includes(asked.labels)) problems.push(`This sweep has no labels \u201c${asked.labels}\u201d.`);
    const labelling = asked.labels && labellings.includes(asked.labels) ? asked.labels : labellings[0] || null;
    const labeller = labelling && quantities.partsOf(labelling).labeller;
    const random = asked.layer === "random";
    return { asked, model, setting, matrix, source, summary, readout, quantity, side, random, labellings, labelling, labeller, other, problems };
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
    const otherSetting = knownName("setting", wanted, known, problems);
    return { model: other, setting: otherSetting, source: sweep.source(other, otherSetting, matrix) };
  }

  /**
   * Labellers of a model that are in none of these labellings, as labellings without a rule.
   * @param {Model} model
   * @param {string[]} labellings
   */
  function otherLabellers(model, labellings) {
    const entries = Object.values(model.matrices).flatMap((settings) => Object.values(settings));
    const names = new Set(entries.flatMap((entry) => sweep.labellersOf(entry)));
    for (const labelling of labellings) names.delete(quantities.partsOf(labelling).labeller);
    return [...names].map((name) => `${name}:`);
  }

  // --- the choices at the top ---

  /** @param {string} labelling */
  function nameOfLabelling(labelling) {
    const { labeller, rule } = quantities.partsOf(labelling);
    if (!rule) return labeller;
    return `${labeller}, ${/^[PVB]$/.test(rule) ? `rule ${rule}` : rule}`;
  }

  /**
   * Names as options that show them.
   * @param {string[]} names
   * @param {(name: string) => string} [shown]
   * @returns {Option[]}
   */
  function optionsOf(names, shown = (name) => name) {
    return names.map((name) => [name, shown(name)]);
  }

  /** @param {Chosen} chosen */
  function choices(chosen) {
    const { model, setting, matrix, readout, source, other, labellings, labelling } = chosen;
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
    if (labellings.length > 1) {
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

  // --- the grid ---

  /** @param {Source} source */
  function title(source) {
    return `${source.model.name}, ${source.setting}`;
  }

  /**
   * What the address has for a matrix.
   * @param {Pick<Cell, "layer" | "head">} cell
   */
  function cellAddressOf({ layer, head }) {
    return { layer, head: head < 0 ? null : head };
  }

  /**
   * The overview, the same as before where nothing in it changes but the cell that is open.
   * @param {Chosen} chosen
   * @returns {Promise<Overview>}
   */
  async function overviewOf(chosen) {
    const { model, setting, matrix, readout, labelling, quantity, side, other } = chosen;
    const beside = other && [other.model.name, other.setting];
    const key = JSON.stringify([model.name, setting, matrix, readout, labelling, quantity.key, side, beside, colours.theme()]);
    return overview && overview.key === key ? overview : newOverview(key, chosen);
  }

  /**
   * Mark the cell that is open, and say what is wrong with the address.
   * @param {Overview} shown
   * @param {Cell | null} cell
   * @param {Chosen} chosen
   */
  function markOverview(shown, cell, { random, problems }) {
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
    const choose = (cell) => state.go({ ...cellAddressOf(cell), open: null });
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
      element("div", { class: "axis-name", "aria-hidden": "true" }, source.frame.heads[0] < 0 ? "layer" : "layer \u2193   head \u2192"),
      element("div", { class: "grids" }, ...grids.map((table, i) => element("div", { class: "grid-of" }, other ? element("h3", {}, title(sources[i])) : null, table))),
      ...sources.map((one, i) => overall(chosen, summaries[i], other ? `${title(one)}: ` : "")),
      element("div", { class: "actions" }, csv.button(() => gridCsv(chosen, sources, cells)), random)
    );
    random?.addEventListener("click", (event) => {
      event.preventDefault();
      state.go({ layer: "random", head: null, open: null });
    });
    return { key, made, grids, description, problems, random, cells: cells[0] };
  }

  /**
   * The cell that the address asks for, or else that with the largest value.
   * @param {Chosen} chosen
   * @param {Cell[]} cells
   */
  function cellAsked({ asked, model, matrix, source, problems }, cells) {
    const best = grid.largest(cells);
    if (asked.layer === undefined) return best;
    const layer = Number(asked.layer);
    const head = asked.head === undefined ? source.frame.heads[0] : Number(asked.head);
    const found = cells.find((cell) => cell.layer === layer && cell.head === head);
    if (!found) problems.push(`${text.matrix(matrix)} of ${model.name} has no ${text.cell(layer, head).toLowerCase()}.`);
    return found || best;
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
    const said = [missingLabels(chosen, summary, cells)];
    const labels = labeller === null ? undefined : source.entry.labels[labeller];
    if (labels && labels.labeller_network) said.push(`${model.name} is the network with which the labeller embeds: its labels are no independent evidence.`);
    if (labels && quantity.key === "rank" && labels.token_frequency !== "counts") said.push("No counts of tokens are known: their order in the tokenizer stands for their frequency.");
    if (other && !other.source) said.push(`${other.model.name} has no ${text.matrix(matrix)} in ${other.setting}.`);
    return said.flatMap((one) => one || []);
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
    if (quantity.fact || cells.every((cell) => cell.found)) return null;
    if (cells.some((cell) => cell.found)) return `Some matrices have no labels by ${labeller}; they are hatched.`;
    if (!(labeller in source.entry.labels)) return `No labels by ${labeller} of ${text.matrix(matrix)} in ${setting}, in this sweep.`;
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
        quantity.key, reading.side, layer, head < 0 ? null : head,
        ...numbers.map((name) => rounded(found?.[name])),
      ])
    );
    return [`svdlens_${model.name}_${setting}_${matrix}_${quantity.key}`, header, rows];
  }

  // --- the lists of the chosen matrix ---

  /**
   * The lists of one matrix and its singular values.
   * @param {Chosen} chosen
   * @param {Source} source
   * @param {Cell} cell
   */
  async function contentsOf({ readout, labeller, random }, source, cell) {
    const { readouts } = source.frame;
    const labelled = labeller !== null && labeller in source.table.labels ? labeller : null;
    const [lists, spectrum] = await Promise.all([
      sweep.listsOfCell(source, cell.layer, cell.head, readouts.includes(readout) ? readout : readouts[0], labelled),
      random ? null : sweep.spectrum(source, cell.layer, cell.head),
    ]);
    return { source, lists, spectrum, labelled };
  }

  /**
   * What is beside, if it is to be shown; `hasCell` says whether it has the matrix.
   * @param {Chosen} chosen
   * @param {Cell} cell
   */
  function besideCell({ other, random }, cell) {
    if (random || !other || !other.source) return null;
    const { frame } = other.source;
    return { source: other.source, hasCell: frame.layers.includes(cell.layer) && frame.heads.includes(cell.head) };
  }

  /**
   * @param {Chosen} chosen
   * @param {Cell} cell layer and head -1: the random directions
   */
  async function detailPanel(chosen, cell) {
    const { asked, random, summary, matrix, readout, model, setting } = chosen;
    const source = random ? sweep.randomOf(chosen.source) : chosen.source;
    if (!source) return element("section", { class: "detail" }, notice("No random directions were read beside this."));
    const beside = besideCell(chosen, cell);
    const [first, second] = await Promise.all([contentsOf(chosen, source, cell), beside && beside.hasCell ? contentsOf(chosen, beside.source, cell) : null]);
    const { spectrum } = first;
    const only = asked.only || "all";
    const wanted = listViews.wanted(first.lists, only);
    const where = text.cell(cell.layer, cell.head);
    const cellAddress = random ? { layer: "random", head: null } : cellAddressOf(cell);
    const heading = element(
      "div",
      { class: "heading" },
      element("h2", { id: "detail-title" }, where),
      element("p", { class: "muted" }, `${random ? "the control of " : ""}${text.matrix(matrix)}${beside ? "" : ` of ${title(source)}`}, read through ${readout}`)
    );
    const filter = segments("Show", "only", [["all", "all"], ["interpretable", "interpretable"], ["beyond", "better than random"]], only, (value) => state.go({ only: value === "all" ? null : value, ...cellAddress }));
    const download = csv.button(() => {
      /** @type {ListForCsv[]} */
      const found = wanted.map((list) => [source, list, spectrum]);
      if (second) for (const list of second.lists) found.push([second.source, list, second.spectrum]);
      return listViews.csvOf(`svdlens_${model.name}_${setting}_${matrix}_${where}`, found, chosen.labeller);
    });
    const tools = element(
      "div",
      { class: "detail-tools" },
      asked.q ? element("a", { class: "back", href: state.link({ view: "search" }) }, "Results for ", element("bdi", {}, `\u201c${asked.q}\u201d`)) : null,
      beside || !first.labelled ? null : filter,
      download
    );
    const top = element(
      "header",
      { class: "detail-top" },
      element("div", {}, heading, beside || random ? null : listViews.fractions(source, summary, chosen, cell.layer, cell.head)),
      spectrum && !beside ? element("figure", {}, svdlens.spectrum.drawingOf(spectrum, source.frame.directions), element("figcaption", {}, "singular values")) : null
    );
    const open = asked.open === undefined ? null : Number(asked.open);
    const searched = searchedBy(asked.q);
    const content = second
      ? pairs.table([title(source), title(second.source)], pairs.matched(first.lists, second.lists), [spectrum, second.spectrum], open, searched, cellAddress)
      : wanted.length
        ? listViews.table(source, wanted, spectrum, open, searched, cellAddress)
        : notice("No list of this matrix is.");
    // What cannot be compared is shown alone.
    const alone = beside && !second ? notice(`${beside.source.model.name} has no ${where.toLowerCase()}; here is ${title(source)} alone.`) : null;
    announce(`${where}: ${text.count(second ? first.lists.length : wanted.length, "list")}`);
    document.title = `${where}, ${text.matrix(matrix)}, ${title(source)} \u2013 svdlens`;
    return element("section", { class: "detail", "aria-labelledby": "detail-title" }, top, tools, alone, content);
  }

  /**
   * @param {string | undefined} query
   * @returns {Searched | null}
   */
  function searchedBy(query) {
    if (!query) return null;
    const wanted = query.trim().toLowerCase();
    return (token) => token.trim().toLowerCase() === wanted;
  }

  // --- all together ---

  /** @param {Asked} asked */
  async function render(asked) {
    const own = ++renderings;
    listViews.forgetLines();
    const started = performance.now();
    const waiting = setTimeout(() => byId("main").classList.add("waiting"), 150);
    try {
      const chosen = await chosenBy(asked);
      const query = asked.view === "search" ? asked.q : undefined;
      const show = query ? await searchView(chosen, query) : await gridView(chosen);
      if (own !== renderings) return;
      show();
      document.documentElement.dataset.took = String(Math.round(performance.now() - started));
    } catch (error) {
      if (own !== renderings) return;
      byId("main").replaceChildren(notice(messageOf(error)));
      console.error(error);
    } finally {
      clearTimeout(waiting);
      if (own === renderings) {
        byId("main").classList.remove("waiting");
        document.documentElement.dataset.shown = location.hash;
      }
    }
  }

  /**
   * The results of a search, as what puts them on the page.
   * @param {Chosen} chosen
   * @param {string} query
   */
  async function searchView(chosen, query) {
    const made = await results.page(chosen, query, chosen.asked);
    return () => {
      overview = null;
      document.title = `\u201c${query}\u201d \u2013 svdlens`;
      show(chosen, "search-view", [made]);
    };
  }

  /**
   * Grid and lists, as what puts them on the page.
   * @param {Chosen} chosen
   */
  async function gridView(chosen) {
    const shown = await overviewOf(chosen);
    const cell = chosen.random ? null : cellAsked(chosen, shown.cells);
    markOverview(shown, cell, chosen);
    const detail = await detailPanel(chosen, cell || { layer: -1, head: -1, found: null });
    return () => {
      overview = shown;
      show(chosen, chosen.other ? "grid-view beside-view" : "grid-view", [shown.made, detail]);
    };
  }

  /**
   * Put it on the page, and the focus back on what had it.
   * @param {Chosen} chosen
   * @param {string} view
   * @param {HTMLElement[]} made
   */
  function show(chosen, view, made) {
    const focused = document.activeElement && document.activeElement.id;
    choices(chosen);
    const main = byId("main");
    main.className = view;
    const before = [...main.children];
    if (before.length === made.length && before[0] === made[0]) before[1].replaceWith(made[1]);
    else main.replaceChildren(...made);
    const query = /** @type {HTMLInputElement} */ (byId("query"));
    if (document.activeElement !== query) query.value = chosen.asked.q || "";
    const again = focused ? document.getElementById(focused) : null;
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
    showCompare(chosen);
  }

  /**
   * The button that puts something beside, or takes it away.
   * @param {Chosen} chosen
   */
  function showCompare(chosen) {
    const compare = /** @type {HTMLButtonElement} */ (byId("compare"));
    const beside = firstBeside(chosen);
    compare.setAttribute("aria-pressed", String(Boolean(chosen.other)));
    compare.disabled = !beside;
    compare.title = beside ? "Put another setting or model beside this one" : "This sweep has one model in one setting";
    const changes = chosen.other ? { model2: null, setting2: null } : { ...beside, layer: chosen.random ? null : chosen.asked.layer };
    compare.onclick = () => state.go({ ...changes, view: null });
  }

  // --- the frame of the page ---

  /** @param {string} theme */
  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `${theme === "dark" ? "Light" : "Dark"} colours`);
  }

  /**
   * What is remembered under a key, once `value` is, if there is one; some browsers give pages from disk no memory.
   * @param {string} key
   * @param {string} [value]
   */
  function remembered(key, value) {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function start() {
    const theme = remembered("svdlens-theme");
    setTheme(theme || colours.theme());
    byId("theme").addEventListener("click", () => {
      const next = colours.theme() === "dark" ? "light" : "dark";
      remembered("svdlens-theme", next);
      setTheme(next);
      render(state.parse(location.hash));
    });
    byId("help").addEventListener("click", () => /** @type {HTMLDialogElement} */ (byId("guide")).showModal());
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      const q = /** @type {HTMLInputElement} */ (byId("query")).value;
      if (q.trim()) state.go({ view: "search", q, token: null, find: null });
    });
    document.addEventListener("keydown", (event) => {
      const { target } = event;
      const typing = target instanceof Element && target.matches("input:not([type='radio']), select, textarea");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      byId("query").focus();
    });
    if (!svdlens.catalogue || !sweep.models().length) {
      byId("main").replaceChildren(notice("There are no data beside this page. Build it with: snakemake explorer"));
      return;
    }
    if (typeof DecompressionStream === "undefined") {
      byId("main").replaceChildren(notice("This browser cannot unpack the data. Chrome 105, Firefox 113 or Safari 16.4, or one newer, can."));
      return;
    }
    state.onChange(render);
    state.start();
  }

  start();
})();
