// The page on which two labellers are compared: how far they agree, and the lists on which they do not.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {"both" | "only_first" | "only_second" | "neither"} AgreementCell Lists that both decided on, by who calls them interpretable. */
/**
 * What two labellers decided on the same lists: rows by cell, and how many lists both were given.
 * @typedef {Record<AgreementCell, number[]> & {joined: number}} Compared
 */
/** @typedef {Record<AgreementCell, number>} CellCounts */
/** @typedef {{low: number, high: number, random: CellCounts}} KnownAgreement Of the table of agreement: the interval of kappa, and random directions. */
/** @typedef {[first: TokenList, second: TokenList]} LabelledTwice One list, with what each labeller says of it. */

svdlens.agreement = (function () {
  const { element, announce, messageOf, notice, optionsOf, segments, select } = svdlens.dom;
  const { shards, sweep, state, text, lists: listViews, csv } = svdlens;
  const ROWS_AT_ONCE = 40;
  /** @type {AgreementCell[]} */
  const CELLS = ["both", "only_first", "only_second", "neither"];

  // --- what is compared ---

  /**
   * What a labeller decided of each list: 1 interpretable, 0 not, -1 nothing, -2 that it was not given. As decisions_of in
   * evaluation/agreement.py: lists of frequent and of glitch tokens are not interpretable, whatever they share.
   * @param {NameShard} shard
   */
  function decisionsOf({ columns, facts }) {
    const ok = facts.statuses.indexOf("ok");
    const notGiven = ["absent", "null_space"].map((status) => facts.statuses.indexOf(status));
    const never = sweep.catalogue().not_interpretable.map((kind) => facts.kinds.indexOf(kind));
    return Int8Array.from(columns.judged, (judged, row) => {
      if (notGiven.includes(columns.status[row])) return -2;
      const interpretable = Math.floor(judged / 9); // 0 for null, 1 for no, 2 for yes
      if (columns.status[row] !== ok || interpretable === 0) return -1;
      return Number(interpretable === 2 && !never.includes(columns.kind[row]));
    });
  }

  /**
   * Both labellers' decisions on the lists that are read through a read-out.
   * @param {Source} source
   * @param {string} readout
   * @param {string} first
   * @param {string} second
   * @returns {Promise<Compared>}
   */
  async function compare(source, readout, first, second) {
    const { labels } = source.entry;
    /** @type {NameShard[]} */
    const loaded = await Promise.all([first, second].map((name) => shards.load(labels[name].names)));
    const [one, other] = loaded.map(decisionsOf);
    /** @type {Compared} */
    const compared = { both: [], only_first: [], only_second: [], neither: [], joined: 0 };
    for (let row = 0; row < one.length; row++) {
      if (one[row] < -1 || other[row] < -1 || sweep.keysOf(source.frame, row).readout !== readout) continue;
      compared.joined += 1;
      if (one[row] < 0 || other[row] < 0) continue;
      compared[CELLS[2 * (1 - one[row]) + (1 - other[row])]].push(row);
    }
    return compared;
  }

  /**
   * Cohen's kappa; null where chance alone agrees always.
   * @param {CellCounts} counts
   */
  function kappa({ both, only_first, only_second, neither }) {
    const n = both + only_first + only_second + neither;
    const expected = (both + only_first) * (both + only_second) + (neither + only_first) * (neither + only_second);
    const possible = n * n - expected;
    return possible > 0 ? (n * (both + neither) - expected) / possible : null;
  }

  /**
   * What the table of agreement says of two labellers, whichever of them it has first; null where it says nothing.
   * @param {Source} source
   * @param {Summary} summary
   * @param {string} readout
   * @param {string} first
   * @param {string} second
   * @returns {KnownAgreement | null}
   */
  function knownAgreement({ frame }, { columns, facts }, readout, first, second) {
    const pairs = columns["agreement.first"];
    if (!pairs) return null;
    const wanted = [first, second].map((name) => facts.labellers.indexOf(name));
    for (let row = 0; row < pairs.length; row++) {
      if (columns["agreement.readout"][row] !== frame.readouts.indexOf(readout)) continue;
      const found = [columns["agreement.first"][row], columns["agreement.second"][row]];
      const turned = found[0] === wanted[1] && found[1] === wanted[0];
      if (!turned && (found[0] !== wanted[0] || found[1] !== wanted[1])) continue;
      /** @param {AgreementCell} cell */
      const random = (cell) => columns[`agreement.control_${cell}`][row];
      return {
        low: columns["agreement.kappa_low"][row],
        high: columns["agreement.kappa_high"][row],
        random: {
          both: random("both"),
          only_first: random(turned ? "only_second" : "only_first"),
          only_second: random(turned ? "only_first" : "only_second"),
          neither: random("neither"),
        },
      };
    }
    return null;
  }

  /**
   * The first place of a model at which two labellers label the same lists: this one if it is such a place.
   * @param {Model} model
   * @param {string} setting
   * @param {string} matrix
   */
  function comparedPlace(model, setting, matrix) {
    const places = sweep.settingsOf(model).flatMap((name) => sweep.matricesOf(model, name).map((kind) => ({ setting: name, matrix: kind })));
    const several = places.filter((one) => sweep.labellersOf(model.matrices[one.matrix][one.setting]).length > 1);
    return several.find((one) => one.setting === setting && one.matrix === matrix) || several.find((one) => one.setting === setting) || several[0] || null;
  }

  /**
   * What is to be kept in mind of a labeller who brought lists of its own; null of others.
   * @param {Source} source
   * @param {string | null} labeller
   */
  function remarkOn({ entry }, labeller) {
    if (labeller === null || !(labeller in entry.labels) || !entry.labels[labeller].own_lists) return null;
    return `${labeller} labelled lists of its own: the tokens here are those that this sweep has for the same direction, perhaps of the other sign.`;
  }

  // --- the page ---

  /**
   * The labellers that the address asks for, or else the one whose labels are shown and the next.
   * @param {Chosen} chosen
   * @param {string[]} known at least two
   */
  function labellersAsked({ asked, labeller, problems }, known) {
    /**
     * @param {string | undefined} name
     * @param {string} otherwise
     */
    const asks = (name, otherwise) => {
      if (name === undefined || known.includes(name)) return name || otherwise;
      problems.push(`No labels by \u201c${name}\u201d of these lists; here are those by ${otherwise}.`);
      return otherwise;
    };
    const shown = labeller !== null && known.includes(labeller) ? labeller : known[0];
    const first = asks(asked.first, asked.second === shown ? known.filter((name) => name !== shown)[0] : shown);
    const next = known.filter((name) => name !== first)[0];
    const second = asks(asked.second, next);
    if (second !== first) return { first, second };
    problems.push(`${first} agrees with itself; here it is beside ${next}.`);
    return { first, second: next };
  }

  /**
   * Two labellers of the chosen lists.
   * @param {Chosen} chosen
   */
  async function page(chosen) {
    const { model, setting, matrix, source, readout, summary, asked, problems } = chosen;
    const known = sweep.labellersOf(source.entry);
    const where = `${text.matrix(matrix)} of ${text.source(source)}, read through ${readout}`;
    const title = element("h2", { id: "agreement-title", tabindex: -1 }, "Where labellers differ");
    const back = element("a", { class: "back", href: state.link({ view: null, first: null, second: null, lists: null }) }, "Back to the grid");
    const attributes = { class: "results agreement", "aria-labelledby": "agreement-title" };
    if (known.length < 2) {
      const only = known.length ? `Only ${known[0]} has labels of these lists` : "Nobody has labels of these lists";
      const place = comparedPlace(model, setting, matrix);
      const link = place && element("a", { href: state.link({ ...place, readout: null }) }, `${text.matrix(place.matrix)} in ${place.setting} has several`);
      const why = element("p", { class: "notice" }, `${only} (${where}): there is nothing to compare. `, link);
      return element("section", attributes, element("header", {}, title, back), ...problems.map(notice), why);
    }
    const { first, second } = labellersAsked(chosen, known);
    const compared = await compare(source, readout, first, second);
    const rowsOf = { ...compared, differ: [...compared.only_first, ...compared.only_second].sort((a, b) => a - b) };
    const chosenLists = CELLS.find((cell) => cell === asked.lists) || "differ";
    const rows = rowsOf[chosenLists];
    /** @type {(cell: "differ" | AgreementCell, name: string) => Option} */
    const option = (cell, name) => [cell, `${name} (${rowsOf[cell].length.toLocaleString("en")})`];
    const options = [option("differ", "one of them"), option("only_first", `only ${first}`), option("only_second", `only ${second}`), option("both", "both"), option("neither", "neither")];
    announce(`${first} and ${second}: ${text.count(rowsOf.differ.length, "list")} on which they differ`);
    /** @param {string} name */
    const others = (name) => optionsOf(known.filter((one) => one !== name));
    return element(
      "section",
      attributes,
      element("header", {}, title, back),
      element("p", { class: "muted" }, `${where}: lists on which both decided.`),
      element(
        "div",
        { class: "results-tools" },
        select("Labeller", "first", others(second), first, (name) => state.go({ first: name, second })),
        select("beside", "second", others(first), second, (name) => state.go({ first, second: name }))
      ),
      ...problems.map(notice),
      ...[first, second].flatMap((name) => remarkOn(source, name) || []).map(notice),
      figures(compared, knownAgreement(source, summary, readout, first, second), first, second),
      element(
        "div",
        { class: "results-tools" },
        segments("Interpretable for", "lists", options, chosenLists, (cell) => state.go({ lists: cell === "differ" ? null : cell, first, second })),
        csv.button(() => csvOf(source, rows, first, second, chosenLists))
      ),
      await table(source, rows, first, second)
    );
  }

  /**
   * The table of two by two with kappa, and what share each calls interpretable, of lists and of random directions.
   * @param {Compared} compared
   * @param {KnownAgreement | null} known
   * @param {string} first
   * @param {string} second
   */
  function figures(compared, known, first, second) {
    const counts = /** @type {CellCounts} */ (Object.fromEntries(CELLS.map((cell) => [cell, compared[cell].length])));
    const n = sum(counts);
    const value = kappa(counts);
    const interval = known && !Number.isNaN(known.low) ? ` (95\u202f%: ${text.decimals(known.low)} to ${text.decimals(known.high)})` : "";
    const notDefined = `is not defined: ${n ? "chance alone would agree on every list" : "there is no list that both decided on"}. `;
    /** @type {(name: string, cells: AgreementCell[]) => HTMLElement} */
    const row = (name, cells) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", { class: "number" }, counts[cell].toLocaleString("en"))));
    const twoByTwo = element(
      "table",
      { class: "two-by-two" },
      element("caption", { class: "hidden" }, `Lists by what ${first} and ${second} decided`),
      element("thead", {}, element("tr", {}, ...["", `${second}: interpretable`, `${second}: not`].map((name) => element("th", { scope: "col", class: "number" }, name || element("span", { class: "hidden" }, first))))),
      element("tbody", {}, row(`${first}: interpretable`, ["both", "only_first"]), row(`${first}: not`, ["only_second", "neither"]))
    );
    const random = known && known.random;
    /** @type {(name: string, other: AgreementCell) => HTMLElement} */
    const shares = (name, own) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "number" }, share(counts, own)), element("td", { class: "number" }, random ? share(random, own) : "\u2013"));
    return element(
      "div",
      { class: "agreement-figures" },
      twoByTwo,
      element(
        "table",
        { class: "two-by-two" },
        element("caption", { class: "hidden" }, "Share that each calls interpretable, of the same rows"),
        element("thead", {}, element("tr", {}, ...["Interpretable", `of ${text.count(n, "list")}`, `of ${text.count(random ? sum(random) : 0, "random direction")}`].map((name) => element("th", { scope: "col", class: "number" }, name)))),
        element("tbody", {}, shares(first, "only_first"), shares(second, "only_second"))
      ),
      element(
        "p",
        { class: "overall" },
        "Cohen\u2019s kappa ",
        ...(value === null ? [notDefined] : [element("b", {}, text.decimals(value)), `${interval}. `]),
        `Given to both: ${text.count(compared.joined, "list")}, of which either left ${(compared.joined - n).toLocaleString("en")} undecided.`
      )
    );
  }

  /** @param {CellCounts} counts */
  const sum = (counts) => CELLS.reduce((total, cell) => total + counts[cell], 0);

  /**
   * What share of all a labeller calls interpretable.
   * @param {CellCounts} counts
   * @param {AgreementCell} own the cell of what it alone calls so
   */
  function share(counts, own) {
    const n = sum(counts);
    return n ? text.percent((counts.both + counts[own]) / n, 1) : "\u2013";
  }

  // --- the lists ---

  /**
   * Lists with these rows, each as both labellers label it.
   * @param {Source} source
   * @param {number[]} rows
   * @param {string} first
   * @param {string} second
   * @returns {Promise<LabelledTwice[]>}
   */
  async function listsOf(source, rows, first, second) {
    /** @type {Map<number, number[]>} */
    const parts = new Map();
    for (const row of rows) {
      const { part } = sweep.partOf(source.frame, row);
      parts.set(part, [...(parts.get(part) || []), row]);
    }
    /** @param {string} labeller */
    const labelledBy = async (labeller) => (await Promise.all([...parts.values()].map((some) => sweep.lists(source, some, labeller)))).flat();
    const [one, other] = await Promise.all([labelledBy(first), labelledBy(second)]);
    return one.map((list, i) => [list, other[i]]);
  }

  /**
   * @param {Source} source
   * @param {number[]} rows
   * @param {string} first
   * @param {string} second
   */
  async function table(source, rows, first, second) {
    if (!rows.length) return notice("There are no such lists.");
    const body = element("tbody", {});
    const problem = element("span", { class: "note", role: "alert" });
    const more = element("button", { type: "button", class: "more", onclick: () => showMore().catch((error) => (problem.textContent = messageOf(error))) });

    async function showMore() {
      const shown = body.children.length;
      more.disabled = true;
      try {
        const found = await listsOf(source, rows.slice(shown, shown + ROWS_AT_ONCE), first, second);
        body.append(...found.map((pair) => listRow(pair, first, second)));
      } finally {
        more.disabled = false;
      }
      const left = rows.length - body.children.length;
      more.hidden = left === 0;
      more.textContent = `Show ${Math.min(ROWS_AT_ONCE, left)} more of ${left.toLocaleString("en")}`;
    }

    await showMore();
    return element(
      "div",
      {},
      element(
        "table",
        { class: "lists found labelled-twice" },
        element("caption", { class: "hidden" }, `Lists with the labels of ${first} and of ${second}`),
        element("thead", {}, element("tr", {}, ...["Where", first, second, "Tokens"].map((name) => element("th", { scope: "col" }, name)))),
        body
      ),
      more,
      problem
    );
  }

  /**
   * @param {LabelledTwice} pair
   * @param {string} first
   * @param {string} second
   */
  function listRow([one, other], first, second) {
    const { layer, head, index } = one;
    const place = [text.shortCell(layer, head), `direction ${index}`].filter(Boolean).join(", ");
    const target = { view: null, ...svdlens.grid.addressOf(one), open: index, only: null, model2: null, setting2: null };
    /** @type {(name: string, list: TokenList) => HTMLElement} */
    const labelCell = (name, { label }) =>
      element("td", { class: "label", "data-labeller": name }, listViews.nameOf(label), element("span", { class: "muted of" }, isInterpretable(label) ? "interpretable" : "not interpretable"));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, element("a", { href: state.link(target) }, element("span", { class: "place" }, place), " ", element("span", { class: "side" }, listViews.listName(one)))),
      labelCell(first, one),
      labelCell(second, other),
      element("td", { class: "tokens" }, listViews.tokenLine(one, listViews.marks(one, null)))
    );
  }

  /** @param {Label | null} label of a list on which the labeller decided */
  function isInterpretable(label) {
    return label !== null && label.interpretable === true && !sweep.catalogue().not_interpretable.includes(label.kind);
  }

  /**
   * The chosen lists, all of them: columns as in every CSV of lists, and those of the second labeller behind.
   * @param {Source} source
   * @param {number[]} rows
   * @param {string} first
   * @param {string} second
   * @param {string} cell
   * @returns {Promise<CsvFile>}
   */
  async function csvOf(source, rows, first, second, cell) {
    const pairs = await listsOf(source, rows, first, second);
    // Only singular vectors have a singular value each.
    const withSpectrum = sweep.catalogue().basis === "svd";
    const spectra = await Promise.all(pairs.map(([{ layer, head }]) => (withSpectrum ? sweep.spectrum(source, layer, head) : null)));
    /** @type {(labeller: string, place: 0 | 1) => CsvFile} */
    const fileOf = (labeller, place) => listViews.csvOf(`svdlens_${source.model.name}_${source.setting}_${source.matrix}_${first}_${second}_${cell}`, pairs.map((pair, i) => [source, pair[place], spectra[i]]), labeller);
    const [name, header, ofFirst] = fileOf(first, 0);
    const [, , ofSecond] = fileOf(second, 1);
    const start = header.indexOf("labeller");
    const end = start + header.slice(start).filter((column) => !column.startsWith("token_")).length;
    return [
      name,
      [...header, ...header.slice(start, end).map((column) => `second_${column}`)],
      ofFirst.map((row, i) => [...row, ...ofSecond[i].slice(start, end)]),
    ];
  }

  return { compare, kappa, knownAgreement, comparedPlace, remarkOn, page };
})();
