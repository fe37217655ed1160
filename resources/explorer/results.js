// The page of results of a search.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {{model: Model, setting: string, labeller: string | null, problems: string[]}} Here What the page shows besides the search. */

svdlens.results = (function () {
  const { element, announce, messageOf, segments } = svdlens.dom;
  const { search, sweep, state, text, lists: listViews, csv } = svdlens;
  const ROWS_AT_ONCE = 40;
  const MOST_CHIPS = 40;

  /**
   * The results of the search `q`.
   * @param {Here} here
   * @param {string} q
   * @param {Asked} asked
   */
  async function page(here, q, asked) {
    const models = asked.where === "here" ? [here.model] : sweep.models();
    /** @param {FoundList} one */
    const isWanted = (one) => asked.where !== "here" || (one.model === here.model && one.settings.includes(here.setting));
    const tokens = await search.tokensLike(q, models);
    const picks = search.picked(tokens, asked.token);
    const byToken = (await search.listsWith(picks)).filter(isWanted);
    // Tokens are found at once; names may take a moment, and are waited for only where they are shown.
    const byName = listsNamed(q, here, models).then((found) => found.filter(isWanted));
    const number = element("span", { class: "muted" }, "\u2026");
    byName.then(
      (found) => {
        number.textContent = found.length.toLocaleString("en");
        announce(`${text.count(byToken.length, "list")} with such tokens, ${text.count(found.length, "list")} with such labels`);
      },
      (error) => {
        number.textContent = "?";
        number.title = messageOf(error);
      }
    );
    const asksFor = asked.find === "tokens" || asked.find === "labels" ? asked.find : null;
    const kind = asksFor || (byToken.length || !(await byName).length ? "tokens" : "labels");
    const results = search.sorted(kind === "tokens" ? byToken : await byName, here.model, here.setting);
    const pickedTexts = new Set(picks.map((pick) => pick.text));
    /** @type {Searched | null} */
    const searched = kind === "tokens" ? (token) => pickedTexts.has(token) : null;
    /** @type {ReturnType<typeof resultRow>[]} */
    const rows = [];
    const body = element("tbody", {});
    const more = element("button", { type: "button", class: "more", onclick: showMore });

    function showMore() {
      for (const found of results.slice(rows.length, rows.length + ROWS_AT_ONCE)) {
        const row = resultRow(found, here);
        rows.push(row);
        body.append(row.made);
        row.fill(searched);
      }
      const left = results.length - rows.length;
      more.hidden = left === 0;
      more.textContent = `Show ${Math.min(ROWS_AT_ONCE, left)} more of ${left.toLocaleString("en")}`;
    }

    showMore();
    /** @type {(find: string, name: string, number: HTMLElement) => HTMLElement} */
    const tab = (find, name, number) =>
      element("a", { href: state.link({ find, token: null }), "aria-current": kind === find ? "page" : null }, `${name} `, number);
    const download = csv.button(async () => {
      const found = await Promise.all(rows.map((row) => row.load()));
      return listViews.csvOf(`svdlens_search_${q}`, found, here.labeller);
    });
    return element(
      "section",
      { class: "results", "aria-labelledby": "results-title" },
      element(
        "header",
        {},
        element("h2", { id: "results-title", tabindex: -1 }, "Search for ", element("bdi", {}, `\u201c${q}\u201d`)),
        element("a", { class: "back", href: state.link({ view: null, q: null, find: null, where: null, token: null }) }, "Back to the grid")
      ),
      element(
        "div",
        { class: "results-tools" },
        element("nav", { class: "tabs", "aria-label": "What is searched" }, tab("tokens", "Tokens", element("span", { class: "muted" }, byToken.length.toLocaleString("en"))), tab("labels", "Labels", number)),
        segments("Where", "where", [["all", "Whole sweep"], ["here", `${here.model.name}, ${here.setting}`]], asked.where === "here" ? "here" : "all", (where) => state.go({ where, token: asked.token || null })),
        download
      ),
      ...here.problems.map((problem) => element("p", { class: "notice" }, problem)),
      kind === "tokens" ? chips(tokens, picks) : null,
      kind === "labels" && !here.labeller ? element("p", { class: "notice" }, "This sweep has no labels.") : null,
      results.length
        ? element(
            "table",
            { class: "lists found" },
            element("caption", { class: "hidden" }, `Lists with ${kind} like ${q}`),
            element("thead", {}, element("tr", {}, ...["Where", "Settings", "Label", "Tokens"].map((name) => element("th", { scope: "col" }, name)))),
            body
          )
        : element("p", { class: "notice" }, nothingFound(kind, q, asked.where === "here" ? " here" : "", tokens)),
      more
    );
  }

  /**
   * Lists with such names, none where nothing has names.
   * @param {string} q
   * @param {Here} here
   * @param {Model[]} models
   */
  async function listsNamed(q, { labeller }, models) {
    return labeller ? search.listsNamed(q, labeller, models) : [];
  }

  /**
   * @param {string} kind
   * @param {string} q
   * @param {string} where
   * @param {FoundToken[]} tokens
   */
  function nothingFound(kind, q, where, tokens) {
    if (kind === "labels") return `No label${where} has \u201c${q}\u201d in it.`;
    return tokens.length ? "No token is picked. Pick some above." : `No token among the lists${where} is like \u201c${q}\u201d.`;
  }

  /**
   * Tokens that match, each a switch.
   * @param {FoundToken[]} tokens
   * @param {FoundToken[]} picks
   */
  function chips(tokens, picks) {
    if (!tokens.length) return null;
    const names = picks.map((pick) => pick.text);
    /**
     * @param {FoundToken} token
     * @param {number} place
     */
    const chip = (token, place) => {
      const on = names.includes(token.text);
      const changed = on ? names.filter((name) => name !== token.text) : [...names, token.text];
      return element(
        "button",
        { type: "button", class: "chip", "aria-pressed": String(on), id: `pick-${place}`, onclick: () => state.go({ token: changed.length ? changed : [""], find: "tokens" }) },
        text.token(token.text),
        element("span", { class: "muted" }, token.rows.toLocaleString("en"))
      );
    };
    const left = tokens.length - MOST_CHIPS;
    return element(
      "div",
      { class: "chips", role: "group", "aria-label": "Tokens that match, with how many lists have them" },
      ...tokens.slice(0, MOST_CHIPS).map(chip),
      left > 0 ? element("span", { class: "note" }, `and ${left.toLocaleString("en")} more tokens; search for more letters to see them`) : null
    );
  }

  /**
   * The settings of a list, as short as a cell.
   * @param {FoundList} found
   */
  function settingsOf({ model, settings }) {
    const all = sweep.settingsOf(model);
    if (settings.length === all.length && all.length > 1) return "all settings";
    return settings.slice(0, 2).join(", ") + (settings.length > 2 ? ` + ${settings.length - 2}` : "");
  }

  /**
   * A row, what loads its list, and what fills the row with it.
   * @param {FoundList} found
   * @param {Here} here
   */
  function resultRow(found, here) {
    const { model, matrix, settings, row } = found;
    const setting = settings.includes(here.setting) ? here.setting : settings[0];
    const source = /** @type {Source} */ (sweep.source(model, setting, matrix));
    const keys = sweep.keysOf(source.frame, row);
    const target = {
      view: null, model: model.name, setting, matrix, readout: keys.readout,
      ...svdlens.grid.addressOf(keys), open: keys.index, only: null, model2: null, setting2: null,
    };
    const cell = `${text.matrix(matrix)} ${text.shortCell(keys.layer, keys.head)}`.trimEnd();
    const label = element("td", { class: "label" });
    const tokens = element("td", { class: "tokens" });
    const made = element(
      "tr",
      {},
      element(
        "th",
        { scope: "row" },
        element("a", { href: state.link(target) }, element("span", { class: "place" }, `${cell}, direction ${keys.index}`), " ", element("span", { class: "side" }, listViews.listName(keys))),
        element("span", { class: "muted of" }, model.name)
      ),
      element("td", { class: "settings", title: settings.join(", ") }, settingsOf(found)),
      label,
      tokens
    );

    /** @returns {Promise<ListForCsv>} */
    async function load() {
      const labeller = here.labeller && here.labeller in source.entry.labels ? here.labeller : null;
      const [[list], spectrum] = await Promise.all([sweep.lists(source, [row], labeller), sweep.spectrum(source, keys.layer, keys.head)]);
      return [source, list, spectrum];
    }

    /** @param {Searched | null} searched */
    async function fill(searched) {
      try {
        const [, list] = await load();
        label.append(listViews.nameOf(list.label));
        tokens.append(listViews.tokenLine(list, listViews.marks(list, searched)));
      } catch (error) {
        tokens.append(element("span", { class: "note" }, messageOf(error)));
      }
    }

    return { made, load, fill };
  }

  return { page };
})();
