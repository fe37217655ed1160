// The lists of one matrix in two settings or models, side by side.
"use strict";
var svdlens = window.svdlens || {};

svdlens.pairs = (function () {
  const { element } = svdlens.dom;
  const { lists: views, text } = svdlens;

  const key = (list, sign = list.sign) => [list.index, list.side, sign].join("|");

  function shared(one, other) {
    if (!one || !other) return new Set();
    const there = new Set(other.tokens);
    return new Set(one.tokens.filter((token) => there.has(token)));
  }

  /** Lists of both sides, matched by direction, side and sign: [first or null, second or null]. */
  function matched(first, second) {
    const others = new Map(second.map((list) => [key(list), list]));
    const pairs = first.map((list) => {
      const other = others.get(key(list)) || null;
      others.delete(key(list));
      return [list, other];
    });
    return [...pairs, ...[...others.values()].map((list) => [null, list])];
  }

  function cell(list, common) {
    if (!list) return element("td", { class: "half" }, element("span", { class: "muted" }, "no such list"));
    const classOf = (token) => (common.has(token) ? "shared" : "");
    return element(
      "td",
      { class: "half" },
      element(
        "div",
        { class: "said-line" },
        views.nameOf(list.label),
        list.label && !Number.isNaN(list.label.q_value) ? element("span", { class: "muted number" }, `q ${text.number(list.label.q_value, 2)}`) : null
      ),
      views.tokenLine(list, classOf)
    );
  }

  /** `titles` are those of the two sides. An SVD may turn a direction round: where the other sign has more in common, it says so. */
  function table(titles, pairs, spectra, open, searched, kept) {
    const second = new Map(pairs.filter(([, other]) => other).map(([, other]) => [key(other), other]));
    const groups = new Map();
    for (const pair of pairs) {
      const { index } = pair[0] || pair[1];
      if (!groups.has(index)) groups.set(index, []);
      groups.get(index).push(pair);
    }
    const bodies = [...groups].map(([index, own]) => {
      const isOpen = open === index;
      const rows = own.map(([one, other], i) => {
        const list = one || other;
        const common = shared(one, other);
        const turned = one && second.get(key(one, -one.sign));
        const more = turned ? shared(one, turned).size : 0;
        return element(
          "tr",
          {},
          i ? null : views.directionHead(index, spectra[0] || spectra[1], open, own.length + (isOpen ? 1 : 0), kept),
          element("th", { scope: "row", class: "side" }, views.listName(list)),
          cell(one, common),
          element(
            "td",
            { class: "number common", title: "tokens that both lists have" },
            one && other ? String(common.size) : "\u2013",
            more >= common.size + 5 ? element("div", { class: "muted", title: "tokens in common with the list of the other sign" }, `${more} with ${text.sign(-one.sign)}`) : null
          ),
          cell(other, common)
        );
      });
      if (isOpen) rows.push(element("tr", { class: "opened" }, element("td", { colspan: 4 }, opened(titles, index, own, spectra, searched))));
      return element("tbody", { class: isOpen ? "open" : null }, ...rows);
    });
    return element(
      "table",
      { class: "lists pairs" },
      element("caption", { class: "hidden" }, `Lists of ${titles.join(" and ")} side by side`),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("th", { scope: "col" }, "Direction"),
          element("th", { scope: "col" }, "List"),
          element("th", { scope: "col" }, titles[0]),
          element("th", { scope: "col", class: "number", title: "tokens that both lists have" }, "Common"),
          element("th", { scope: "col" }, titles[1])
        )
      ),
      ...bodies
    );
  }

  function opened(titles, index, own, spectra, searched) {
    const sides = [0, 1].map((place) => {
      const lists = own.map((pair) => pair[place]).filter(Boolean);
      return element(
        "section",
        { class: "side-detail" },
        element("h3", {}, titles[place]),
        spectra[place] && lists.length ? views.facts(index, spectra[place]) : null,
        element("div", { class: "columns" }, ...lists.map((list) => views.column(list, searched)))
      );
    });
    return element("div", { class: "direction-detail two" }, ...sides);
  }

  return { matched, table };
})();
