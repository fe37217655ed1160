// What one matrix reads and writes: its fractions, its singular values, and the lists of its directions.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {(token: string) => boolean} Searched Whether a token is searched for. */
/** @typedef {{layer: string | number | null, head: number | null}} CellAddress What the address needs to show the same lists again. */
/** @typedef {[source: Source, list: TokenList, spectrum: Spectrum | null]} ListForCsv */

svdlens.lists = (function () {
  const { element, withProperty } = svdlens.dom;
  const { effects, quantities, text, state } = svdlens;
  /**
   * Whether a list is better than those of random directions.
   * @param {Label | null} label
   */
  const isBeyond = (label) => label !== null && label.p_direction < svdlens.sweep.catalogue().beyond;

  /**
   * Lists that the reader wants to see.
   * @param {TokenList[]} lists
   * @param {string} only
   */
  function wanted(lists, only) {
    if (only === "interpretable") return lists.filter((list) => list.label?.interpretable === true);
    if (only === "beyond") return lists.filter((list) => isBeyond(list.label));
    return lists;
  }

  /**
   * The lists of each direction, in order.
   * @param {TokenList[]} lists
   */
  function byDirection(lists) {
    /** @type {Map<number, TokenList[]>} */
    const found = new Map();
    for (const list of lists) found.set(list.index, [...(found.get(list.index) || []), list]);
    return [...found];
  }

  // --- fractions of one matrix ---

  /**
   * The fractions of one matrix by side, beside those of random directions; null where there are none.
   * @param {Source} source
   * @param {Summary} summary
   * @param {Reading} reading
   * @param {number} layer
   * @param {number} head
   */
  function fractions(source, summary, reading, layer, head) {
    const sides = source.frame.sides.length > 1 ? [...source.frame.sides, "all"] : source.frame.sides;
    const kinds = ["semantic", "grammatical", "orthographic"];
    const rows = sides.map((side) => {
      const all = quantities.fraction(summary, { ...reading, side }, "all", layer, head);
      if (!all || !all.n) return null;
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, side === "all" ? "both" : side),
        element("td", { class: "meter-cell" }, meter(all)),
        element("td", {}, element("b", {}, text.percent(all.value))),
        element("td", { class: "muted", title: `${all.k} of ${all.n} lists` }, text.range(all.low, all.high)),
        element("td", {}, text.percent(all.control_fraction)),
        element("td", { title: Number.isNaN(all.excess) ? null : `95 %: ${text.pointsRange(all.excess_low, all.excess_high, 1)}` }, text.points(all.excess, 0, false)),
        ...kinds.map((kind) => {
          const found = quantities.fraction(summary, { ...reading, side }, kind, layer, head);
          return element("td", { class: "kind-share" }, found ? text.percent(found.value) : "\u2013");
        })
      );
    });
    if (!rows.some(Boolean)) return null;
    const heads = ["", "Interpretable", "95\u202f% interval", "Random", "Excess, points", "Semantic", "Grammatical", "Orthographic"];
    return element(
      "table",
      { class: "fractions" },
      element("caption", { class: "hidden" }, "Fraction of the lists that are interpretable, by side, beside random directions"),
      element("thead", {}, element("tr", {}, ...heads.map((name, i) => element("th", { scope: "col", colspan: i === 1 ? 2 : null }, name || element("span", { class: "hidden" }, "Side"))))),
      element("tbody", {}, ...rows)
    );
  }

  /**
   * A bar from 0 to 1 with the interval and the fraction of random directions.
   * @param {Fraction} fraction
   */
  function meter({ value, low, high, control_fraction: control }) {
    const made = element("span", { class: "meter", "aria-hidden": "true" }, element("span", { class: "bar" }), element("span", { class: "interval" }));
    withProperty(made, "--value", `${100 * value}%`);
    withProperty(made, "--low", `${100 * low}%`);
    withProperty(made, "--width", `${100 * (high - low)}%`);
    if (!Number.isNaN(control)) made.append(withProperty(element("span", { class: "control" }), "--at", `${100 * control}%`));
    return made;
  }

  // --- the table of lists ---

  /**
   * Name and kind of a list, or why there is none.
   * @param {Label | null} label
   */
  function nameOf(label) {
    if (!label || label.status === "absent") return element("span", { class: "muted" }, "not labelled");
    if (label.status !== "ok") return element("span", { class: "muted" }, label.status.replace("_", " "));
    if (!label.name) return element("span", { class: "muted" }, "\u2013");
    const kind = label.kind === "none" ? null : element("span", { class: `kind ${label.kind}` }, label.kind);
    return element("span", { class: label.interpretable === false ? "said not" : "said" }, text.name(label.name), kind ? " " : null, kind);
  }

  /**
   * Tokens in a row. A page has thousands of tokens: the line is filled when it is about to be seen, or else when there is
   * time, and is as high as before.
   * @param {TokenList} list
   * @param {(token: string, place: number) => string} classOf how each token looks
   */
  function tokenLine(list, classOf) {
    const line = element("div", { class: "line" });
    filling.set(line, () => line.append(...list.tokens.flatMap((token, i) => [text.token(token, classOf(token, i)), " "])));
    near.observe(line);
    if (filling.size === 1) whenIdle(fillSome);
    return line;
  }

  /** @type {Map<Element, () => void>} What fills the lines that are still empty. */
  const filling = new Map();
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) if (entry.isIntersecting) fillLine(entry.target);
    },
    { rootMargin: "300px" }
  );

  /** @param {Element} line */
  function fillLine(line) {
    near.unobserve(line);
    const fill = filling.get(line);
    filling.delete(line);
    if (fill) fill();
  }

  /** @param {number} end when to stop, by performance.now() */
  function fillSome(end) {
    for (const line of filling.keys()) {
      if (performance.now() >= end) break;
      fillLine(line);
    }
    if (filling.size) whenIdle(fillSome);
  }

  /**
   * Call back once the browser has time, with when it will need that time again.
   * @param {(end: number) => void} callback
   */
  function whenIdle(callback) {
    // Safari has no idle callbacks.
    if (!window.requestIdleCallback) setTimeout(() => callback(performance.now() + 10), 20);
    else requestIdleCallback((deadline) => callback(performance.now() + deadline.timeRemaining() - 2));
  }

  /** Lines that are no longer on the page. */
  function forgetLines() {
    for (const line of filling.keys()) near.unobserve(line);
    filling.clear();
  }

  /**
   * How tokens look where labels say which of them are evidence, and where some are searched for.
   * @param {TokenList} list
   * @param {Searched | null} searched
   * @returns {(token: string, place: number) => string}
   */
  function marks(list, searched) {
    const { label } = list;
    return (token, place) => {
      const names = [];
      if (label && (label.evidence >> place) & 1) names.push("evidence");
      if (searched && searched(token)) names.push("searched");
      return names.join(" ");
    };
  }

  /**
   * The near-degenerate cluster of a direction, as its first and last direction; undefined if it is in none.
   * @param {Spectrum} spectrum
   * @param {number} index
   */
  function clusterWith({ cluster }, index) {
    return svdlens.spectrum.clustersOf(cluster, cluster.length).find(([first, last]) => first <= index && index <= last);
  }

  /**
   * The run of undetermined directions that a direction is in, as its first and last; undefined if it is determined.
   * @param {Spectrum} spectrum
   * @param {number} index
   */
  function undeterminedWith({ stability_noise }, index) {
    const runs = svdlens.spectrum.undeterminedRuns(stability_noise, svdlens.sweep.catalogue().determined);
    return runs.find(([first, last]) => first <= index && index <= last);
  }

  /**
   * The head of the rows of a direction, which opens it.
   * @param {number} index
   * @param {Spectrum | null} spectrum
   * @param {number | null} open
   * @param {number} rows
   * @param {CellAddress} cellAddress
   */
  function directionHead(index, spectrum, open, rows, cellAddress) {
    const isOpen = open === index;
    const size = spectrum && (spectrum.cluster[index] < 0 ? "null space" : text.number(spectrum.value[index], 4));
    const button = element(
      "button",
      {
        type: "button",
        id: `direction-${index}`,
        class: "direction",
        "aria-expanded": String(isOpen),
        "aria-label": `Direction ${index}${size ? `, singular value: ${size}` : ""}`,
        onclick: () => state.go({ open: isOpen ? null : index, ...cellAddress }),
      },
      element("span", { class: "index" }, String(index)),
      size ? element("span", { class: "sigma" }, size) : null
    );
    if (spectrum) withProperty(button, "--share", `${(100 * spectrum.value[index]) / (spectrum.value[0] || 1)}%`);
    const run = spectrum && undeterminedWith(spectrum, index);
    const ends = run ? `undetermined ${index === run[0] ? "first" : ""} ${index === run[1] ? "last" : ""}` : "";
    return element("th", { scope: "rowgroup", rowspan: rows, class: `of-direction ${ends}` }, button);
  }

  /** @param {ListKeys} list */
  function listName(list) {
    return list.side === "all" ? text.sign(list.sign) : `${list.side} ${text.sign(list.sign)}`;
  }

  /**
   * The lists of one matrix.
   * @param {Source} source
   * @param {TokenList[]} lists
   * @param {Spectrum | null} spectrum
   * @param {Effects | null} measured
   * @param {number | null} open the direction that is opened
   * @param {Searched | null} searched
   * @param {CellAddress} cellAddress
   */
  function table(source, lists, spectrum, measured, open, searched, cellAddress) {
    const bodies = byDirection(lists).map(([index, ofDirection]) => {
      const isOpen = open === index;
      const rows = ofDirection.map((list, i) =>
        element(
          "tr",
          {},
          i ? null : directionHead(index, spectrum, open, ofDirection.length + (isOpen ? 1 : 0), cellAddress),
          element("th", { scope: "row", class: "side" }, listName(list)),
          element("td", { class: "label" }, nameOf(list.label)),
          element("td", { class: "number q" }, text.number(list.label?.q_value, 2)),
          element("td", { class: isBeyond(list.label) ? "number p strong" : "number p" }, text.number(list.label?.p_direction, 2)),
          ...(measured ? effects.cells(measured, list) : []),
          element("td", { class: "tokens" }, tokenLine(list, marks(list, searched)))
        )
      );
      if (isOpen) rows.push(element("tr", { class: "opened" }, element("td", { colspan: measured ? 7 : 5 }, opened(source, index, ofDirection, spectrum, measured, searched))));
      return element("tbody", { class: isOpen ? "open" : null }, ...rows);
    });
    const heads = [
      ["Direction", spectrum ? "with its singular value" : null],
      ["List", "side and sign"],
      ["Label", null],
      ["q", "list null: how often shuffled lists score as high, corrected for their number"],
      ["p random", "direction null: how often lists of random directions score as high"],
      ...(measured ? effects.heads(measured) : []),
      ["Tokens", "best first"],
    ];
    return element(
      "table",
      { class: measured ? "lists with-effects" : "lists" },
      element("caption", { class: "hidden" }, `Lists of ${text.matrix(source.matrix)}, ${source.model.name}, ${source.setting}`),
      element("thead", {}, element("tr", {}, ...heads.map(([name, title], i) => element("th", { scope: "col", title, class: i > 2 && i < heads.length - 1 ? "number" : null }, name)))),
      ...bodies
    );
  }

  // --- one direction, opened ---

  /**
   * @param {Source} source
   * @param {number} index
   * @param {TokenList[]} lists
   * @param {Spectrum | null} spectrum
   * @param {Effects | null} measured
   * @param {Searched | null} searched
   */
  function opened(source, index, lists, spectrum, measured, searched) {
    return element(
      "div",
      { class: "direction-detail" },
      spectrum ? facts(index, spectrum, measured) : null,
      element("div", { class: "columns" }, ...lists.map((list) => column(list, searched))),
      svdlens.examples.sections(source, lists)
    );
  }

  /**
   * What is known of a singular value.
   * @param {number} index
   * @param {Spectrum} spectrum
   * @param {Effects | null} [measured]
   */
  function facts(index, spectrum, measured = null) {
    const { number, percent } = text;
    const cluster = clusterWith(spectrum, index);
    const shown = [
      ["\u03c3", number(spectrum.value[index], 4)],
      ["energy so far", percent(spectrum.energy[index], 1)],
      ["gap", percent(spectrum.gap[index], 1)],
      ["cluster", cluster ? `${cluster[0]}\u2013${cluster[1]}, ${percent(spectrum.cluster_spread[index], 1)}` : "none"],
      ["stability", number(spectrum.stability_noise[index])],
      ["in float32", number(spectrum.stability_float32[index])],
      ["sign margin", number(spectrum.sign_margin[index])],
      ...(measured ? effects.facts(measured, index) : []),
    ];
    const notes = [];
    const { determined } = svdlens.sweep.catalogue();
    if (spectrum.stability_noise[index] < determined)
      notes.push(
        `Not determined by the weights: noise on them turns this vector to a |cos| of ${number(spectrum.stability_noise[index])} with itself, on average; ` +
          `from ${number(determined)} on it would count as determined. ` +
          (cluster ? `Singular values ${cluster[0]} to ${cluster[1]} are within ${percent(spectrum.cluster_spread[index], 1)} of each other: what their vectors span is determined better than each of them.` : "")
      );
    if (spectrum.cluster[index] < 0) notes.push("Null space: the singular value is zero but for rounding, and the lists say nothing of the model. They count nowhere, and no search finds them.");
    return element(
      "div",
      { class: "facts" },
      element("dl", {}, ...shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
      ...notes.map((note) => element("p", { class: "note" }, note))
    );
  }

  /**
   * All tokens of one list with their scores.
   * @param {TokenList} list
   * @param {Searched | null} searched
   */
  function column(list, searched) {
    const { number } = text;
    const classOf = marks(list, searched);
    const { label } = list;
    const evidence = list.tokens.filter((_, i) => label && (label.evidence >> i) & 1).length;
    const furtherEvidence = label ? label.n_evidence - evidence : 0;
    const largest = Math.max(...list.scores.map(Math.abs)) || 1;
    const rows = list.tokens.map((token, i) =>
      element(
        "tr",
        {},
        element("td", { class: "rank" }, String(i + 1)),
        element("td", {}, text.token(token, classOf(token, i))),
        withProperty(element("td", { class: "score" }, element("span", {}, number(list.scores[i]))), "--share", `${(100 * Math.abs(list.scores[i])) / largest}%`)
      )
    );
    return element(
      "section",
      { class: "column" },
      element("h4", {}, element("span", { class: "side" }, listName(list)), " ", nameOf(label)),
      label && label.status === "ok" ? calibration(label) : null,
      label && label.n_concepts > 1 ? element("p", { class: "note" }, `${label.n_concepts} concepts, each shared by some of the tokens`) : null,
      element(
        "table",
        { class: "scores" },
        element("caption", { class: "hidden" }, `Tokens of ${listName(list)}, best first`),
        element("thead", {}, element("tr", {}, ...["Rank", "Token", "Score"].map((name) => element("th", { scope: "col" }, element("span", { class: "hidden" }, name))))),
        element("tbody", {}, ...rows)
      ),
      furtherEvidence > 0 ? element("p", { class: "note" }, `The label rests on ${text.count(furtherEvidence, "token")} further down as well.`) : null
    );
  }

  /**
   * Score of a list and how it compares with both nulls.
   * @param {Label} label
   */
  function calibration(label) {
    const { number } = text;
    const shown = [["score", number(label.score)], ["rank", number(Math.exp(label.mean_log_rank), 2)]];
    if (label.verified !== null) shown.push(["verified", label.verified ? "yes" : "no"]);
    /** @type {(name: string, ...values: number[]) => HTMLElement} */
    const row = (name, ...values) =>
      element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value) => element("td", {}, number(value))));
    return element(
      "div",
      { class: "calibration" },
      element("dl", {}, ...shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
      element(
        "table",
        {},
        element("caption", { class: "hidden" }, "How often lists score as high by chance"),
        element("thead", {}, element("tr", {}, ...["", "shuffled", "random"].map((name) => element("th", { scope: "col" }, name || element("span", { class: "hidden" }, "Value"))))),
        element("tbody", {}, row("p", label.p_value, label.p_direction), row("q", label.q_value, label.q_direction))
      )
    );
  }

  // --- as a file ---

  const KEYS = ["model", "setting", "matrix", "readout", "layer", "head", "direction", "side", "sign"];
  /** @type {(keyof Label)[]} */
  const LABEL = ["name", "kind", "status", "labelled", "verified", "interpretable", "score", "p_value", "q_value", "p_direction", "q_direction", "n_concepts", "mean_log_rank"];

  /**
   * @param {ListForCsv} found
   * @param {string | null} labeller
   * @param {number} length of the longest list
   * @returns {CsvValue[]}
   */
  function csvRow([source, list, spectrum], labeller, length) {
    const { label, index } = list;
    /** @param {number} number */
    const orNone = (number) => (number < 0 ? null : number);
    /** @param {string | number | boolean | null} judged */
    const yesOrNo = (judged) => (typeof judged === "boolean" ? (judged ? "yes" : "no") : judged);
    const places = Array.from({ length }, (_, place) => place);
    return [
      source.model.name, source.setting, source.matrix, list.readout, orNone(list.layer), orNone(list.head), index, list.side, list.sign,
      ...(spectrum ? [rounded(spectrum.value[index], 4), orNone(spectrum.cluster[index]), spectrum.stability_noise[index]] : [null, null, null]),
      labeller,
      ...LABEL.map((name) => (label ? yesOrNo(label[name]) : null)),
      ...places.map((place) => list.tokens[place]),
      ...places.map((place) => list.scores[place]),
    ];
  }

  /**
   * @param {number} value
   * @param {number} digits
   */
  function rounded(value, digits) {
    return Number.isNaN(value) ? null : Number(value.toPrecision(digits));
  }

  /**
   * A CSV with these lists.
   * @param {string} name
   * @param {ListForCsv[]} found
   * @param {string | null} labeller
   * @returns {CsvFile}
   */
  function csvOf(name, found, labeller) {
    const length = Math.max(0, ...found.map(([, list]) => list.tokens.length));
    /** @param {string} column */
    const numbered = (column) => Array.from({ length }, (_, i) => `${column}_${i + 1}`);
    const labelColumns = LABEL.map((column) => (column === "name" ? "label" : column));
    const header = [...KEYS, "singular_value", "cluster", "stability", "labeller", ...labelColumns, ...numbered("token"), ...numbered("token_score")];
    return [name, header, found.map((one) => csvRow(one, labeller, length))];
  }

  return { wanted, byDirection, fractions, table, nameOf, tokenLine, marks, listName, directionHead, column, facts, csvOf, forgetLines };
})();
