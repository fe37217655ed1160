// The page of results of a search.
"use strict";
var svdlens = window.svdlens || {};

svdlens.results = (function () {
  const { element, announce, segments } = svdlens.dom;
  const { search, sweep, state, text, lists: views, csv } = svdlens;
  const PAGE = 40;
  const CHIPS = 40;

  /** `current`: model, setting, labeller; `asked`: q, find, where, token of the address. */
  async function page(current, asked) {
    const models = asked.where === "here" ? [current.model] : sweep.models();
    const isHere = (one) => asked.where !== "here" || (one.model === current.model && one.settings.includes(current.setting));
    const tokens = await search.tokensLike(asked.q, models);
    const picks = search.picked(tokens, asked.token);
    const byToken = (await search.lists(picks)).filter(isHere);
    // Tokens are found at once; names may take a moment, and are waited for only where they are shown.
    const byName = (current.labeller ? search.named(asked.q, current.labeller, models) : Promise.resolve([])).then((found) => found.filter(isHere));
    const kind = asked.find || (byToken.length || !(await byName).length ? "tokens" : "labels");
    const results = search.sorted(kind === "tokens" ? byToken : await byName, current.model.name, current.setting);
    const names = new Set(picks.map((pick) => pick.text));
    const shown = [];
    const body = element("tbody", {});
    const more = element("button", { type: "button", class: "more", onclick: show });

    function show() {
      const rows = results.slice(shown.length, shown.length + PAGE).map((one) => resultRow(one, current));
      body.append(...rows.map((row) => row.made));
      shown.push(...rows.map((row) => row.fill(kind === "tokens" ? (token) => names.has(token) : null)));
      const left = results.length - shown.length;
      more.hidden = left <= 0;
      more.textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
    }

    show();
    const link = (find, name, n) =>
      element("a", { href: state.link({ find, token: null }), "aria-current": kind === find ? "page" : null }, `${name} `, n);
    const counted = element("span", { class: "muted" }, byToken.length.toLocaleString("en"));
    const named = element("span", { class: "muted" }, "\u2026");
    byName.then((found) => {
      named.textContent = found.length.toLocaleString("en");
      announce(`${text.count(byToken.length, "list")} with such tokens, ${text.count(found.length, "list")} with such labels`);
    });
    const download = csv.button(async () => [`svdlens_search_${asked.q}`, ...views.asCsv(await Promise.all(shown), current.labeller)]);
    return element(
      "section",
      { class: "results", "aria-labelledby": "results-title" },
      element(
        "header",
        {},
        element("h2", { id: "results-title", tabindex: -1 }, "Search for ", element("bdi", {}, `\u201c${asked.q}\u201d`)),
        element("a", { class: "back", href: state.link({ view: null, q: null, find: null, where: null, token: null }) }, "Back to the grid")
      ),
      element(
        "div",
        { class: "results-tools" },
        element("nav", { class: "tabs", "aria-label": "What is searched" }, link("tokens", "Tokens", counted), link("labels", "Labels", named)),
        segments("Where", "where", [["all", "Whole sweep"], ["here", `${current.model.name}, ${current.setting}`]], asked.where || "all", (where) => state.go({ where, token: asked.token || null })),
        download
      ),
      kind === "tokens" ? chips(tokens, picks) : null,
      kind === "labels" && !current.labeller ? element("p", { class: "notice" }, "This sweep has no labels.") : null,
      results.length
        ? element(
            "table",
            { class: "lists found" },
            element("caption", { class: "hidden" }, `Lists with ${kind} like ${asked.q}`),
            element("thead", {}, element("tr", {}, ...["Where", "Settings", "Label", "Tokens"].map((name) => element("th", { scope: "col" }, name)))),
            body
          )
        : element("p", { class: "notice" }, nothing(kind, asked, tokens)),
      more
    );
  }

  function nothing(kind, asked, tokens) {
    const where = asked.where === "here" ? " here" : "";
    if (kind === "labels") return `No label${where} has \u201c${asked.q}\u201d in it.`;
    return tokens.length ? "No token is picked. Pick some above." : `No token among the lists${where} is like \u201c${asked.q}\u201d.`;
  }

  /** Tokens that match, each a switch. */
  function chips(tokens, picks) {
    if (!tokens.length) return null;
    const names = picks.map((pick) => pick.text);
    const chip = (token) => {
      const on = names.includes(token.text);
      const changed = on ? names.filter((name) => name !== token.text) : [...names, token.text];
      return element(
        "button",
        { type: "button", class: "chip", "aria-pressed": String(on), id: `pick-${tokens.indexOf(token)}`, onclick: () => state.go({ token: changed.length ? changed : [""], find: "tokens" }) },
        text.token(token.text),
        element("span", { class: "muted" }, token.rows.toLocaleString("en"))
      );
    };
    const left = tokens.length - CHIPS;
    return element(
      "div",
      { class: "chips", role: "group", "aria-label": "Tokens that match, with how many lists have them" },
      ...tokens.slice(0, CHIPS).map(chip),
      left > 0 ? element("span", { class: "note" }, `and ${left.toLocaleString("en")} more tokens; search for more letters to see them`) : null
    );
  }

  /** A row, and what fills it once its shards are there. */
  function resultRow(one, current) {
    const setting = one.settings.includes(current.setting) ? current.setting : one.settings[0];
    const source = sweep.source(one.model, setting, one.matrix);
    const at = sweep.placeOf(source.frame, one.row);
    const target = {
      view: null, model: one.model.name, setting, matrix: one.matrix, readout: at.readout,
      layer: at.layer, head: at.head < 0 ? null : at.head, open: at.index, only: null, model2: null, setting2: null,
    };
    const place = `${text.matrix(one.matrix)} L${at.layer}${at.head < 0 ? "" : ` H${at.head}`}`;
    const all = sweep.settingsOf(one.model);
    const settings = one.settings.length === all.length && all.length > 1 ? "all settings" : one.settings.slice(0, 2).join(", ") + (one.settings.length > 2 ? ` + ${one.settings.length - 2}` : "");
    const label = element("td", { class: "label" });
    const tokens = element("td", { class: "tokens" });
    const made = element(
      "tr",
      {},
      element(
        "th",
        { scope: "row" },
        element("a", { href: state.link(target) }, element("span", { class: "place" }, `${place}, direction ${at.index}`), " ", element("span", { class: "side" }, views.listName(at))),
        element("span", { class: "muted of" }, one.model.name)
      ),
      element("td", { class: "settings", title: one.settings.join(", ") }, settings),
      label,
      tokens
    );
    async function fill(searched) {
      const labeller = current.labeller && current.labeller in source.entry.labels ? current.labeller : null;
      const [list] = await sweep.lists(source, [one.row], labeller);
      const spectrum = await sweep.spectrum(source, at.layer, at.head);
      label.append(views.nameOf(list.label));
      tokens.append(views.tokenLine(list, views.marks(list, searched)));
      return [source, list, spectrum];
    }
    return { made, fill };
  }

  return { page };
})();
