// The page: from the address to what is shown.
"use strict";

(function () {
  const { element, byId, announce, segments, select } = svdlens.dom;
  const { sweep, quantities, colours, grid, lists: views, pairs, state, text, csv, results } = svdlens;
  let rendering = 0;

  // --- from the address to a choice that the sweep has ---

  /** What the address asks for, defaults put in; `problems` are names that the sweep does not have. */
  function resolve(asked) {
    const problems = [];
    const among = (kind, name, known) => {
      if (name === undefined || name === null || known.includes(name)) return known.includes(name) ? name : known[0];
      problems.push(`This sweep has no ${kind} \u201c${name}\u201d; here is ${known[0]}.`);
      return known[0];
    };
    const model = sweep.modelOf(among("model", asked.model, sweep.models().map((one) => one.name)));
    const setting = among("setting", asked.setting, sweep.settingsOf(model));
    const matrix = among("matrix", asked.matrix, sweep.matricesOf(model, setting));
    const random = asked.layer === "random";
    const source = sweep.source(model, setting, matrix);
    const readout = among("read-out", asked.readout, source.frame.readouts);
    const quantity = quantities.of(asked.colour) || quantities.QUANTITIES[0];
    const side = asked.side && source.frame.sides.includes(asked.side) ? asked.side : "all";
    const choice = { model, setting, matrix, readout, quantity, side, random, source, problems, asked };
    if (asked.model2 || asked.setting2) {
      const other = sweep.modelOf(among("model", asked.model2 || model.name, sweep.models().map((one) => one.name)));
      const known = sweep.settingsOf(other);
      const beside = asked.setting2 || (known.includes(setting) ? setting : known[0]);
      choice.other = { model: other, setting: among("setting", beside, known) };
      choice.other.source = sweep.source(other, choice.other.setting, matrix);
    }
    return choice;
  }

  /** All labellings of the model, and which of them is chosen. */
  async function labelling(choice) {
    const summaries = [await quantities.summaryOf(choice.source)];
    const here = quantities.labellings(summaries[0]);
    const labellers = new Set(here);
    for (const settings of Object.values(choice.model.matrices)) {
      for (const entry of Object.values(settings)) {
        for (const name of sweep.labellersOf(entry)) if (![...labellers].some((one) => one.startsWith(`${name}:`))) labellers.add(`${name}:`);
      }
    }
    choice.summary = summaries[0];
    choice.labellings = [...labellers];
    const asked = choice.asked.labels;
    choice.labelling = choice.labellings.includes(asked) ? asked : here[0] || choice.labellings[0] || null;
    choice.labeller = choice.labelling ? choice.labelling.split(":")[0] : null;
    if (asked && !choice.labellings.includes(asked)) choice.problems.push(`This sweep has no labels \u201c${asked}\u201d.`);
  }

  // --- the choices at the top ---

  function nameOfLabelling(name) {
    const split = name.indexOf(":");
    const rule = name.slice(split + 1);
    return rule ? `${name.slice(0, split)}, ${/^[PVB]$/.test(rule) ? `rule ${rule}` : rule}` : name.slice(0, split);
  }

  function choices(choice) {
    const { model, setting, matrix, readout, other } = choice;
    const modelOptions = sweep.models().map((one) => [one.name, one.name]);
    const settingOptions = (of) => sweep.settingsOf(of).map((name) => [name, name]);
    const shown = [
      select("Model", "model", modelOptions, model.name, (name) => state.go({ model: name, layer: null, head: null, open: null })),
      select("Setting", "setting", settingOptions(model), setting, (name) => state.go({ setting: name })),
      ...(other ? beside(other, modelOptions, settingOptions) : []),
      segments("Matrix", "matrix", sweep.matricesOf(model, setting).map((name) => [name, text.matrix(name)]), matrix, (name) => state.go({ matrix: name, layer: null, head: null, open: null, side: null })),
    ];
    if (choice.source.frame.readouts.length > 1) {
      shown.push(select("Read-out", "readout", choice.source.frame.readouts.map((name) => [name, name]), readout, (name) => state.go({ readout: name })));
    }
    if (choice.labellings.length > 1) {
      shown.push(select("Labels", "labels", choice.labellings.map((name) => [name, nameOfLabelling(name)]), choice.labelling, (name) => state.go({ labels: name })));
    }
    byId("choices").replaceChildren(...shown);
  }

  function beside(other, models, settingsOf) {
    return [
      element("span", { class: "beside" }, "beside"),
      select("Model", "model2", models, other.model.name, (name) => state.go({ model2: name, setting2: null })),
      select("Setting", "setting2", settingsOf(other.model), other.setting, (name) => state.go({ model2: other.model.name, setting2: name })),
    ];
  }

  /** The first thing to put beside what is shown: another setting, or else another model. */
  function firstBeside(choice) {
    const settings = sweep.settingsOf(choice.model).filter((name) => name !== choice.setting);
    if (settings.length) return { model2: choice.model.name, setting2: settings[0] };
    const other = sweep.models().find((one) => one !== choice.model);
    return other ? { model2: other.name, setting2: null } : null;
  }

  // --- the grid ---

  function title(source) {
    return `${source.model.name}, ${source.setting}`;
  }

  let overview = null; // the one on the page, with what it shows

  /** The overview, the same as before where nothing in it changes but the cell that is open. */
  async function gridPanel(choice) {
    const { model, setting, matrix, readout, labelling, quantity, side, other } = choice;
    const beside = other && [other.model.name, other.setting];
    const key = JSON.stringify([model.name, setting, matrix, readout, labelling, quantity.key, side, beside, colours.theme()]);
    const fresh = overview && overview.key === key ? overview : { key, ...(await newOverview(choice)) };
    if (!choice.random) choice.cell = cellAsked(choice, fresh.cells);
    const chosen = choice.random ? null : choice.cell;
    fresh.grids.forEach((table, i) => {
      const marked = grid.mark(table, chosen);
      if (!i) fresh.readout.textContent = marked ? marked.getAttribute("aria-label") : "";
    });
    fresh.problems.replaceChildren(...choice.problems.map(notice));
    if (choice.random) fresh.random?.setAttribute("aria-current", "page");
    else fresh.random?.removeAttribute("aria-current");
    choice.overview = fresh;
    return fresh.made;
  }

  async function newOverview(choice) {
    const { quantity, other, source } = choice;
    const sources = [source, other && other.source].filter(Boolean);
    const summaries = await Promise.all(sources.map((one) => quantities.summaryOf(one)));
    const found = sources.map((one, i) => grid.cellsOf(one, summaries[i], quantity, choice));
    const known = found.flat().filter((cell) => cell.found).map((cell) => cell.found);
    const scale = colours.scaleOf(quantity.scale, known.map((one) => one.value));
    const readout = element("p", { class: "readout", "aria-hidden": "true" });
    const choose = (cell) => state.go({ layer: cell.layer, head: cell.head < 0 ? null : cell.head, open: null });
    const grids = sources.map((one, i) => {
      const table = grid.gridOf(one, found[i], quantity, scale, choose, (words) => (readout.textContent = words));
      table.querySelectorAll("button").forEach((button) => (button.id = `cell-${i}-${button.dataset.layer}-${button.dataset.head}`));
      return table;
    });
    const names = quantities.QUANTITIES.map((one) => [one.key, one.name, choice.labelling || one.fact ? null : "no labels"]);
    const split = names.findIndex(([key]) => key === "top");
    const options = [{ group: "Lists", options: names.slice(0, split) }, { group: "Singular values", options: names.slice(split) }];
    const { sides } = source.frame;
    const chooseSide = (side) => state.go({ side: side === "all" ? null : side });
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
          ? segments("Side", "side", [["all", "both"], ...sides.map((side) => [side, side])], choice.side, chooseSide)
          : null
      ),
      problems,
      ...missing(choice, summaries, found).map(notice),
      known.length ? grid.legend(quantity, scale, known.map((one) => one.control)) : null,
      readout,
      element("div", { class: "axis-name", "aria-hidden": "true" }, source.frame.heads[0] < 0 ? "layer" : "layer \u2193   head \u2192"),
      element("div", { class: "grids" }, ...grids.map((table, i) => element("div", { class: "grid-of" }, other ? element("h3", {}, title(sources[i])) : null, table))),
      ...sources.map((one, i) => overall(choice, summaries[i], other ? `${title(one)}: ` : "")),
      element("div", { class: "actions" }, csv.button(() => gridCsv(choice, sources, found)), random)
    );
    random?.addEventListener("click", (event) => {
      event.preventDefault();
      state.go({ layer: "random", head: null, open: null });
    });
    return { made, grids, readout, problems, random, cells: found[0] };
  }

  function notice(words) {
    return element("p", { class: "notice" }, words);
  }

  function cellAsked(choice, cells) {
    const { asked, source } = choice;
    const best = grid.largest(cells);
    if (asked.layer === undefined) return best;
    const layer = Number(asked.layer);
    const head = asked.head === undefined ? source.frame.heads[0] : Number(asked.head);
    const found = cells.find((cell) => cell.layer === layer && cell.head === head);
    if (!found) {
      choice.problems.push(`${text.matrix(choice.matrix)} of ${choice.model.name} has no ${text.place(layer, head).toLowerCase()}.`);
      return best;
    }
    return found;
  }

  /** The fraction of all lists of this kind of matrix, beside that of random directions. */
  function overall(choice, summary, before) {
    if (!choice.labelling) return null;
    const found = quantities.fraction(summary, choice.labelling, choice.readout, choice.side, "all", -1, -1);
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

  /** What is missing, or to be kept in mind. */
  function missing(choice, summaries, found) {
    const said = [];
    const { model, matrix, setting, labelling, labeller, quantity, other } = choice;
    if (!labelling) said.push("This sweep has no labels: the grid shows singular values, and lists have no names.");
    else if (!quantity.fact && found[0].every((cell) => !cell.found)) {
      const fraction = quantities.fraction(summaries[0], labelling, choice.readout, "all", "all", -1, -1);
      if (!(labeller in choice.source.entry.labels)) said.push(`No labels by ${labeller} of ${text.matrix(matrix)} in ${setting}, in this sweep.`);
      else if (!fraction || !fraction.n) said.push(`${labeller} gave no answer to any list of ${text.matrix(matrix)} in ${setting}.`);
      else said.push(`${labeller} does not say this of its lists.`);
    } else if (!quantity.fact && found[0].some((cell) => !cell.found)) {
      said.push(`Some matrices have no labels by ${labeller}; they are hatched.`);
    }
    const note = labeller && choice.source.entry.labels[labeller];
    if (note && note.labeller_network) said.push(`${model.name} is the network with which the labeller embeds: its labels are no independent evidence.`);
    if (note && quantity.key === "rank" && note.token_frequency !== "counts") said.push("No counts of tokens are known: their order in the tokenizer stands for their frequency.");
    if (other && !other.source) said.push(`${other.model.name} has no ${text.matrix(matrix)} in ${other.setting}.`);
    return said;
  }

  function gridCsv(choice, sources, found) {
    const header = ["model", "setting", "matrix", "readout", "labels", "quantity", "side", "layer", "head", "value", "low", "high", "k", "n", "random_directions"];
    const { quantity } = choice;
    const rows = sources.flatMap((source, i) =>
      found[i].map(({ layer, head, found: one }) => [
        source.model.name, source.setting, source.matrix, quantity.fact ? null : choice.readout, quantity.fact ? null : choice.labelling,
        quantity.key, quantity.fact ? null : choice.side, layer, head < 0 ? null : head,
        ...["value", "low", "high", "k", "n", "control"].map((name) => (one && one[name] !== undefined && one[name] !== null ? Number(Number(one[name]).toPrecision(6)) : null)),
      ])
    );
    return [`svdlens_${choice.model.name}_${choice.setting}_${choice.matrix}_${quantity.key}`, header, rows];
  }

  // --- the lists of the chosen matrix ---

  async function detailPanel(choice) {
    const { random, asked, readout, other, labeller } = choice;
    const cell = random ? { layer: -1, head: -1 } : choice.cell;
    const source = random ? sweep.source(choice.model, choice.setting, choice.matrix, true) : choice.source;
    if (!source) return element("section", { class: "detail" }, element("p", { class: "notice" }, "No random directions were read beside this."));
    const open = asked.open === undefined ? null : Number(asked.open);
    const only = asked.only || "all";
    const searched = asked.q ? (token) => token.trim().toLowerCase() === asked.q.trim().toLowerCase() : null;
    const kept = random ? { layer: "random", head: null } : { layer: cell.layer, head: cell.head < 0 ? null : cell.head };
    const besides = other && other.source && !random ? other.source : null;
    const has = besides && besides.frame.layers.includes(cell.layer) && besides.frame.heads.includes(cell.head) ? besides : null;
    const labellerOf = (of) => (labeller && labeller in of.table.labels ? labeller : null);
    const [all, spectrum, second, spectrum2] = await Promise.all([
      sweep.listsOfCell(source, cell.layer, cell.head, readout, labellerOf(source)),
      random ? null : sweep.spectrum(source, cell.layer, cell.head),
      has ? sweep.listsOfCell(has, cell.layer, cell.head, has.frame.readouts.includes(readout) ? readout : has.frame.readouts[0], labellerOf(has)) : null,
      has ? sweep.spectrum(has, cell.layer, cell.head) : null,
    ]);
    const shown = views.wanted(all, only);
    const where = text.place(cell.layer, cell.head);
    const heading = element(
      "div",
      { class: "heading" },
      element("h2", { id: "detail-title" }, where),
      element("p", { class: "muted" }, `${random ? "the control of " : ""}${text.matrix(choice.matrix)}${besides ? "" : ` of ${title(source)}`}, read through ${readout}`)
    );
    const filter = segments("Show", "only", [["all", "all"], ["interpretable", "interpretable"], ["beyond", "better than random"]], only, (value) => state.go({ only: value === "all" ? null : value, ...kept }));
    const file = `svdlens_${choice.model.name}_${choice.setting}_${choice.matrix}_${where}`;
    const download = csv.button(() => [file, ...views.asCsv([...shown.map((list) => [source, list, spectrum]), ...(second || []).map((list) => [has, list, spectrum2])], labeller)]);
    const tools = element(
      "div",
      { class: "detail-tools" },
      asked.q ? element("a", { class: "back", href: state.link({ view: "search" }) }, "Results for ", element("bdi", {}, `\u201c${asked.q}\u201d`)) : null,
      besides || !labellerOf(source) ? null : filter,
      download
    );
    const top = element(
      "header",
      { class: "detail-top" },
      element("div", {}, heading, besides ? null : views.fractions(source, choice.summary, choice, cell.layer, cell.head)),
      spectrum && !besides ? element("figure", {}, svdlens.spectrum.drawingOf(spectrum, source.frame.directions), element("figcaption", {}, "singular values")) : null
    );
    let content;
    if (has) content = pairs.table([title(source), title(has)], pairs.matched(all, second), [spectrum, spectrum2], open, searched, kept);
    else if (!shown.length) content = element("p", { class: "notice" }, "No list of this matrix is.");
    else content = views.table(source, shown, spectrum, open, searched, kept);
    // What cannot be compared is shown alone.
    if (besides && !has) content = [notice(`${besides.model.name} has no ${where.toLowerCase()}; here is ${title(source)} alone.`), content];
    announce(`${where}: ${text.count(has ? all.length : shown.length, "list")}`);
    document.title = `${where}, ${text.matrix(choice.matrix)}, ${title(source)} \u2013 svdlens`;
    return element("section", { class: "detail", "aria-labelledby": "detail-title" }, top, tools, content);
  }

  // --- all together ---

  async function render(asked) {
    const own = ++rendering;
    views.forgetLines();
    const started = performance.now();
    const waiting = setTimeout(() => byId("main").classList.add("waiting"), 150);
    try {
      const choice = resolve(asked);
      await labelling(choice);
      const search = asked.view === "search" && asked.q;
      const made = search
        ? [await results.page({ model: choice.model, setting: choice.setting, labeller: choice.labeller }, asked)]
        : [await gridPanel(choice)];
      if (!search) made.push(await detailPanel(choice));
      if (own !== rendering) return;
      show(choice, made, search);
      document.documentElement.dataset.took = String(Math.round(performance.now() - started));
    } catch (error) {
      if (own !== rendering) return;
      byId("main").replaceChildren(element("p", { class: "notice" }, error.message));
      console.error(error);
    } finally {
      clearTimeout(waiting);
      if (own === rendering) {
        byId("main").classList.remove("waiting");
        document.documentElement.dataset.shown = location.hash;
      }
    }
  }

  /** Put it on the page, and the focus back on what had it. */
  function show(choice, made, search) {
    const { id } = document.activeElement || {};
    choices(choice);
    const main = byId("main");
    main.className = search ? "search-view" : choice.other ? "grid-view beside-view" : "grid-view";
    overview = search ? null : choice.overview;
    const before = [...main.children];
    if (before.length === made.length && before[0] === made[0]) before[1].replaceWith(made[1]);
    else main.replaceChildren(...made);
    if (search) document.title = `\u201c${choice.asked.q}\u201d \u2013 svdlens`;
    const query = byId("query");
    if (document.activeElement !== query) query.value = choice.asked.q || "";
    const again = id && byId(id);
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
    const compare = byId("compare");
    const beside = firstBeside(choice);
    compare.setAttribute("aria-pressed", String(Boolean(choice.other)));
    compare.disabled = !beside;
    compare.title = beside ? "Put another setting or model beside this one" : "This sweep has one model in one setting";
    compare.onclick = () => state.go(choice.other ? { model2: null, setting2: null, view: null } : { ...beside, view: null, layer: choice.random ? null : choice.asked.layer });
  }

  // --- the frame of the page ---

  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `${theme === "dark" ? "Light" : "Dark"} colours`);
  }

  function remembered(key, value) {
    // Some browsers give pages from disk no memory.
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
    byId("help").addEventListener("click", () => byId("guide").showModal());
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      const q = byId("query").value;
      if (q.trim()) state.go({ view: "search", q, token: null, find: null });
    });
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "radio";
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      byId("query").focus();
    });
    if (!svdlens.catalogue || !sweep.models().length) {
      byId("main").replaceChildren(element("p", { class: "notice" }, "There are no data beside this page. Build it with: snakemake explorer"));
      return;
    }
    if (typeof DecompressionStream === "undefined") {
      byId("main").replaceChildren(element("p", { class: "notice" }, "This browser cannot unpack the data. Chrome 105, Firefox 113 or Safari 16.4, or one newer, can."));
      return;
    }
    state.onChange(render);
    state.start();
  }

  start();
})();
