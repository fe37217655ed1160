// The lists of the chosen matrix, alone or beside those of another source.
"use strict";
var svdlens = window.svdlens || {};

svdlens.detail = (function () {
  const { element, announce, notice, segments } = svdlens.dom;
  const { sweep, grid, effects: measured, lists: listViews, pairs, state, text, csv } = svdlens;

  /**
   * The lists of one matrix and its singular values.
   * @param {Chosen} chosen
   * @param {Source} source
   * @param {Cell} cell
   */
  async function contentsOf({ readout, labeller, random }, source, cell) {
    const { readouts } = source.frame;
    const labelled = labeller !== null && labeller in source.table.labels ? labeller : null;
    const [lists, spectrum, effects] = await Promise.all([
      sweep.listsOfCell(source, cell.layer, cell.head, readouts.includes(readout) ? readout : readouts[0], labelled),
      random ? null : sweep.spectrum(source, cell.layer, cell.head),
      random ? null : measured.ofCell(source, cell.layer, cell.head),
    ]);
    // Only singular vectors have a singular value each.
    const ofLists = sweep.catalogue().basis === "svd" ? spectrum : null;
    return { source, lists, spectrum, effects, ofLists, labelled };
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
   * @param {string | null} why the cell is shown, where the address does not say which
   */
  async function panel(chosen, cell, why) {
    const { asked, random, summary, matrix, readout, model, setting } = chosen;
    const source = random ? sweep.randomOf(chosen.source) : chosen.source;
    if (!source) return element("section", { class: "detail" }, notice("No random directions were read beside this."));
    const beside = besideCell(chosen, cell);
    const [first, second] = await Promise.all([contentsOf(chosen, source, cell), beside && beside.hasCell ? contentsOf(chosen, beside.source, cell) : null]);
    const { spectrum } = first;
    const { basis } = sweep.catalogue();
    const only = asked.only === "interpretable" || asked.only === "beyond" ? asked.only : "all";
    const wanted = listViews.wanted(first.lists, only);
    const where = random ? "Random directions" : text.cell(cell.layer, cell.head);
    const cellAddress = random ? { layer: "random", head: null } : grid.addressOf(cell);
    const heading = element(
      "div",
      { class: "heading" },
      element("h2", { id: "detail-title" }, where),
      element("p", { class: "muted" }, `${random ? "the control of " : basis === "svd" ? "" : `the ${basis} basis of `}${text.matrix(matrix)}${beside ? "" : ` of ${text.source(source)}`}, read through ${readout}`)
    );
    const filter = segments("Show", "only", [["all", "all"], ["interpretable", "interpretable"], ["beyond", "better than random"]], only, (value) => state.go({ only: value === "all" ? null : value, ...cellAddress }));
    const download = csv.button(() => {
      /** @type {ListForCsv[]} */
      const found = wanted.map((list) => [source, list, first.ofLists]);
      if (second) for (const list of second.lists) found.push([second.source, list, second.ofLists]);
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
      element("div", {}, heading, why ? element("p", { class: "note why" }, why) : null, beside || random ? null : listViews.fractions(source, summary, chosen, cell.layer, cell.head)),
      spectrum && !beside ? element("figure", {}, svdlens.spectrum.drawingOf(spectrum, source.frame.directions), element("figcaption", {}, "singular values")) : null
    );
    const open = openAsked(chosen, source, second ? first.lists : wanted);
    const searched = searchedBy(asked.q);
    const content = second
      ? pairs.table([text.source(source), text.source(second.source)], pairs.matched(first.lists, second.lists), [first.ofLists, second.ofLists], open, searched, cellAddress)
      : wanted.length
        ? listViews.table(source, wanted, first.ofLists, first.effects, open, searched, cellAddress)
        : notice("No list of this matrix is.");
    // What cannot be compared is shown alone.
    const alone = beside && !second ? notice(`${beside.source.model.name} has no ${where.toLowerCase()}; here is ${text.source(source)} alone.`) : null;
    announce(`${where}: ${text.count(second ? first.lists.length : wanted.length, "list")}`);
    document.title = `${where}, ${text.matrix(matrix)}, ${text.source(source)} \u2013 svdlens`;
    return element("section", { class: "detail", "aria-labelledby": "detail-title" }, top, tools, alone, content);
  }

  /**
   * The direction that the address opens; what cannot be opened is said.
   * @param {Chosen} chosen
   * @param {Source} source
   * @param {TokenList[]} shown
   */
  function openAsked({ asked, problems }, { frame }, shown) {
    if (asked.open === undefined) return null;
    const open = /^\d+$/.test(asked.open) ? Number(asked.open) : -1;
    const last = frame.directions - 1;
    if (open < 0 || open > last) problems.push(`There is no direction ${asked.open} to open; there are 0 to ${last}.`);
    else if (!shown.some((list) => list.index === open)) problems.push(`Direction ${open} is not opened: none of its lists is among those that \u201cShow\u201d chooses.`);
    return open;
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

  return { panel };
})();
