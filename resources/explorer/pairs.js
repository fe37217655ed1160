// The lists of one matrix in two settings or models, side by side.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {[first: TokenList | null, second: TokenList | null]} ListPair Lists of both sides; null where a side has none. */
/** @typedef {Spectrum | null} KnownSpectrum */

svdlens.pairs = (function () {
  const { element } = svdlens.dom;
  const { lists: listViews, text } = svdlens;
  const MANY_MORE = 5; // tokens in common, from which on it is worth a note

  /**
   * @param {TokenList} list
   * @param {number} [sign] of the list that is meant, if it is another
   */
  const keyOf = (list, sign = list.sign) => [list.index, list.side, sign].join("|");

  /**
   * Tokens that both lists have.
   * @param {TokenList | null | undefined} first
   * @param {TokenList | null | undefined} second
   * @returns {Set<string>}
   */
  function commonTokens(first, second) {
    if (!first || !second) return new Set();
    const ofSecond = new Set(second.tokens);
    return new Set(first.tokens.filter((token) => ofSecond.has(token)));
  }

  /**
   * Lists of both sides, matched by direction, side and sign.
   * @param {TokenList[]} first
   * @param {TokenList[]} second
   * @returns {ListPair[]}
   */
  function matched(first, second) {
    const left = new Map(second.map((list) => [keyOf(list), list]));
    /** @type {ListPair[]} */
    const pairs = [];
    for (const list of first) {
      pairs.push([list, left.get(keyOf(list)) || null]);
      left.delete(keyOf(list));
    }
    for (const list of left.values()) pairs.push([null, list]);
    return pairs;
  }

  /**
   * @param {TokenList | null} list
   * @param {Set<string>} common
   */
  function cell(list, common) {
    if (!list) return element("td", { class: "half" }, element("span", { class: "muted" }, "no such list"));
    /** @param {string} token */
    const classOf = (token) => (common.has(token) ? "shared" : "");
    return element(
      "td",
      { class: "half" },
      element(
        "div",
        { class: "said-line" },
        listViews.nameOf(list.label),
        list.label && !Number.isNaN(list.label.q_value) ? element("span", { class: "muted number" }, `q ${text.number(list.label.q_value, 2)}`) : null
      ),
      listViews.tokenLine(list, classOf)
    );
  }

  /** @param {ListPair} pair */
  const oneOf = ([first, second]) => /** @type {TokenList} */ (first || second);

  /**
   * The pairs of each direction, in order.
   * @param {ListPair[]} pairs
   */
  function byDirection(pairs) {
    /** @type {Map<number, ListPair[]>} */
    const found = new Map();
    for (const pair of pairs) {
      const { index } = oneOf(pair);
      found.set(index, [...(found.get(index) || []), pair]);
    }
    return [...found];
  }

  /**
   * Pairs of lists. An SVD may turn a direction round: where the list of the other sign has more in common, it says so.
   * @param {string[]} titles of the two sides
   * @param {ListPair[]} pairs
   * @param {KnownSpectrum[]} spectra of the two sides
   * @param {number | null} open the direction that is opened
   * @param {Searched | null} searched
   * @param {CellAddress} cellAddress
   */
  function table(titles, pairs, spectra, open, searched, cellAddress) {
    const seconds = new Map(pairs.flatMap(([, second]) => (second ? [[keyOf(second), second]] : [])));
    const bodies = byDirection(pairs).map(([index, ofDirection]) => {
      const isOpen = open === index;
      const rows = ofDirection.map((pair, i) => {
        const [first, second] = pair;
        const common = commonTokens(first, second);
        return element(
          "tr",
          {},
          i ? null : listViews.directionHead(index, spectra[0] || spectra[1], open, ofDirection.length + (isOpen ? 1 : 0), cellAddress),
          element("th", { scope: "row", class: "side" }, listViews.listName(oneOf(pair))),
          cell(first, common),
          element(
            "td",
            { class: "number common", title: "tokens that both lists have" },
            first && second ? String(common.size) : "\u2013",
            first && turned(first, seconds.get(keyOf(first, -first.sign)), common.size)
          ),
          cell(second, common)
        );
      });
      if (isOpen) rows.push(element("tr", { class: "opened" }, element("td", { colspan: 4 }, opened(titles, index, ofDirection, spectra, searched))));
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

  /**
   * How many tokens a list has in common with that of the other sign, if that is many more than with its own.
   * @param {TokenList} list
   * @param {TokenList | undefined} otherSign
   * @param {number} withOwn
   */
  function turned(list, otherSign, withOwn) {
    const number = commonTokens(list, otherSign).size;
    if (number < withOwn + MANY_MORE) return null;
    return element("div", { class: "muted", title: "tokens in common with the list of the other sign" }, `${number} with ${text.sign(-list.sign)}`);
  }

  /**
   * @param {string[]} titles
   * @param {number} index
   * @param {ListPair[]} pairs
   * @param {KnownSpectrum[]} spectra
   * @param {Searched | null} searched
   */
  function opened(titles, index, pairs, spectra, searched) {
    const sides = [0, 1].map((place) => {
      const lists = pairs.flatMap((pair) => pair[place] || []);
      const spectrum = spectra[place];
      return element(
        "section",
        { class: "side-detail" },
        element("h3", {}, titles[place]),
        spectrum && lists.length ? listViews.facts(index, spectrum) : null,
        element("div", { class: "columns" }, ...lists.map((list) => listViews.column(list, searched)))
      );
    });
    return element("div", { class: "direction-detail two" }, ...sides);
  }

  return { matched, table };
})();
