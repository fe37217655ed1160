// What one matrix reads and writes: its fractions, its singular values, and the lists of its directions.
"use strict";
var svdlens = window.svdlens || {};

svdlens.lists = (function () {
  const { element, withProperty } = svdlens.dom;
  const { quantities, text, state } = svdlens;
  const BEYOND = () => svdlens.catalogue.beyond;

  const ONLY = {
    interpretable: (list) => list.label && list.label.interpretable === true,
    beyond: (list) => list.label && list.label.p_direction < BEYOND(),
  };

  /** Lists that the reader wants to see. */
  function wanted(lists, only) {
    return ONLY[only] ? lists.filter(ONLY[only]) : lists;
  }

  /** [index, lists] for each direction, in order. */
  function byDirection(lists) {
    const found = new Map();
    for (const list of lists) {
      if (!found.has(list.index)) found.set(list.index, []);
      found.get(list.index).push(list);
    }
    return [...found];
  }

  // --- fractions of one matrix ---

  function fractions(source, summary, choice, layer, head) {
    if (!choice.labelling || layer < 0) return null;
    const sides = source.frame.sides.length > 1 ? [...source.frame.sides, "all"] : source.frame.sides;
    const rows = sides
      .map((side) => [side, quantities.fraction(summary, choice.labelling, choice.readout, side, "all", layer, head)])
      .filter(([, found]) => found && found.n);
    if (!rows.length) return null;
    const kinds = ["semantic", "grammatical", "orthographic"];
    const cells = ([side, all]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, side === "all" ? "both" : side),
        element("td", { class: "meter-cell" }, meter(all)),
        element("td", {}, element("b", {}, text.percent(all.value))),
        element("td", { class: "muted", title: `${all.k} of ${all.n} lists` }, text.range(all.low, all.high)),
        element("td", {}, text.percent(all.control_fraction)),
        element("td", { title: Number.isNaN(all.excess) ? null : `95 %: ${text.range(all.excess_low, all.excess_high, 1)}` }, text.signedPercent(all.excess)),
        ...kinds.map((kind) => {
          const found = quantities.fraction(summary, choice.labelling, choice.readout, side, kind, layer, head);
          return element("td", { class: "kind-share" }, found ? text.percent(found.value) : "\u2013");
        })
      );
    const heads = ["", "Interpretable", "95\u202f% interval", "Random", "Beyond", "Semantic", "Grammatical", "Orthographic"];
    return element(
      "table",
      { class: "fractions" },
      element("caption", { class: "hidden" }, "Fraction of the lists that are interpretable, by side, beside random directions"),
      element("thead", {}, element("tr", {}, ...heads.map((name, i) => element("th", { scope: "col", colspan: i === 1 ? 2 : null }, name || element("span", { class: "hidden" }, "Side"))))),
      element("tbody", {}, ...rows.map(cells))
    );
  }

  /** A bar from 0 to 1 with the interval and the fraction of random directions. */
  function meter({ value, low, high, control_fraction: control }) {
    const made = element("span", { class: "meter", "aria-hidden": "true" }, element("span", { class: "bar" }), element("span", { class: "interval" }));
    withProperty(made, "--value", `${100 * value}%`);
    withProperty(made, "--low", `${100 * low}%`);
    withProperty(made, "--width", `${100 * (high - low)}%`);
    if (!Number.isNaN(control)) made.append(withProperty(element("span", { class: "control" }), "--at", `${100 * control}%`));
    return made;
  }

  // --- the table of lists ---

  /** Name and kind of a list, or why there is none. */
  function nameOf(label) {
    if (!label || label.status === "absent") return element("span", { class: "muted" }, "not labelled");
    if (label.status !== "ok") return element("span", { class: "muted" }, label.status);
    if (!label.name) return element("span", { class: "muted" }, "\u2013");
    const kind = label.kind === "none" ? null : element("span", { class: `kind ${label.kind}` }, label.kind);
    return element("span", { class: label.interpretable === false ? "said not" : "said" }, text.name(label.name), kind ? " " : null, kind);
  }

  /**
   * Tokens in a row; `classOf(token, place)` says how each looks. A page has thousands of tokens: the line is filled when
   * it is about to be seen, or else when there is time, and is as high as before.
   */
  function tokenLine(list, classOf) {
    const line = element("div", { class: "line" });
    filling.set(line, () => line.append(...list.tokens.flatMap((token, i) => [text.token(token, classOf(token, i)), " "])));
    near.observe(line);
    if (filling.size === 1) requestIdleCallback(fillSome);
    return line;
  }

  const filling = new Map();
  const near = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && fillLine(entry.target)), { rootMargin: "300px" });

  function fillLine(line) {
    near.unobserve(line);
    const fill = filling.get(line);
    filling.delete(line);
    if (fill) fill();
  }

  function fillSome(deadline) {
    for (const line of filling.keys()) {
      if (deadline.timeRemaining() < 2) break;
      fillLine(line);
    }
    if (filling.size) requestIdleCallback(fillSome);
  }

  /** Lines that are no longer on the page. */
  function forgetLines() {
    for (const line of filling.keys()) near.unobserve(line);
    filling.clear();
  }

  /** How tokens look where labels say which of them are evidence, and where some are searched for. */
  function marks(list, searched) {
    const { label } = list;
    return (token, place) => {
      const names = [];
      if (label && label.evidence && (label.evidence >> place) & 1) names.push("evidence");
      if (searched && searched(token)) names.push("searched");
      return names.join(" ");
    };
  }

  /** Where a direction stands in its block of near-equal singular values: first, middle, last or nothing. */
  function inBlock(block, index) {
    const own = block[index];
    if (own < 0) return "";
    const before = index > 0 && block[index - 1] === own;
    const after = block[index + 1] === own;
    return before && after ? "middle" : before ? "last" : after ? "first" : "";
  }

  function directionHead(index, spectrum, open, rows, kept) {
    const isOpen = open === index;
    const button = element(
      "button",
      {
        type: "button",
        id: `direction-${index}`,
        class: "direction",
        "aria-expanded": String(isOpen),
        "aria-label": `Direction ${index}${spectrum ? `, singular value ${text.number(spectrum.value[index], 4)}` : ""}`,
        onclick: () => state.go({ open: isOpen ? null : String(index), ...kept }),
      },
      element("span", { class: "index" }, String(index)),
      spectrum ? element("span", { class: "sigma" }, text.number(spectrum.value[index], 4)) : null
    );
    const place = spectrum ? inBlock(spectrum.block, index) : "";
    if (spectrum) withProperty(button, "--share", `${(100 * spectrum.value[index]) / (spectrum.value[0] || 1)}%`);
    return element("th", { scope: "rowgroup", rowspan: rows, class: place ? `of-direction block ${place}` : "of-direction" }, button);
  }

  function listName(list) {
    return list.side === "all" ? text.sign(list.sign) : `${list.side} ${text.sign(list.sign)}`;
  }

  function table(source, lists, spectrum, open, searched, kept) {
    const groups = byDirection(lists).map(([index, own]) => {
      const rows = own.map((list, i) =>
        element(
          "tr",
          {},
          i ? null : directionHead(index, spectrum, open, own.length + (open === index ? 1 : 0), kept),
          element("th", { scope: "row", class: "side" }, listName(list)),
          element("td", { class: "label" }, nameOf(list.label)),
          element("td", { class: "number q" }, list.label ? text.number(list.label.q_value, 2) : "\u2013"),
          element("td", { class: list.label && list.label.p_direction < BEYOND() ? "number p strong" : "number p" }, list.label ? text.number(list.label.p_direction, 2) : "\u2013"),
          element("td", { class: "tokens" }, tokenLine(list, marks(list, searched)))
        )
      );
      if (open === index) rows.push(element("tr", { class: "opened" }, element("td", { colspan: 5 }, opened(index, own, spectrum, searched))));
      return element("tbody", { class: open === index ? "open" : null }, ...rows);
    });
    const heads = [
      ["Direction", "with its singular value"],
      ["List", "side and sign"],
      ["Label", null],
      ["q", "list null: how often shuffled lists score as high, corrected for their number"],
      ["p random", "direction null: how often lists of random directions score as high"],
      ["Tokens", "best first"],
    ];
    return element(
      "table",
      { class: "lists" },
      element("caption", { class: "hidden" }, `Lists of ${text.matrix(source.matrix)}, ${source.model.name}, ${source.setting}`),
      element("thead", {}, element("tr", {}, ...heads.map(([name, title], i) => element("th", { scope: "col", title, class: i > 2 && i < 5 ? "number" : null }, name)))),
      ...groups
    );
  }

  // --- one direction, opened ---

  function opened(index, own, spectrum, searched) {
    return element(
      "div",
      { class: "direction-detail" },
      spectrum ? facts(index, spectrum) : null,
      element("div", { class: "columns" }, ...own.map((list) => column(list, searched)))
    );
  }

  function facts(index, spectrum) {
    const { number, percent } = text;
    const shown = [
      ["\u03c3", number(spectrum.value[index], 4)],
      ["energy so far", percent(spectrum.energy[index], 1)],
      ["gap", percent(spectrum.gap[index], 1)],
      ["stability", number(spectrum.stability_noise[index])],
      ["in float32", number(spectrum.stability_float32[index])],
      ["sign margin", number(spectrum.sign_margin[index])],
    ];
    const run = svdlens.spectrum.runs(spectrum.block, spectrum.block.length).find(([from, to]) => from <= index && index <= to);
    const block = run
      ? `In a block: singular values ${run[0]} to ${run[1]} are within ${percent(spectrum.block_spread[index], 1)} of each other, so that their vectors are determined only together.`
      : spectrum.block[index] < 0
        ? "Null space: the singular value is zero but for rounding."
        : null;
    return element(
      "div",
      { class: "facts" },
      element("dl", {}, ...shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
      block ? element("p", { class: "note" }, block) : null
    );
  }

  /** All tokens of one list with their scores. */
  function column(list, searched) {
    const { number } = text;
    const classOf = marks(list, searched);
    const { label } = list;
    const shown = list.tokens.filter((_, i) => label && (label.evidence >> i) & 1).length;
    const more = label ? label.n_evidence - shown : 0;
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
      label && label.n_concepts > 1 ? element("p", { class: "note" }, `${label.n_concepts} groups of tokens that share something`) : null,
      element(
        "table",
        { class: "scores" },
        element("caption", { class: "hidden" }, `Tokens of ${listName(list)}, best first`),
        element("thead", {}, element("tr", {}, ...["Rank", "Token", "Score"].map((name) => element("th", { scope: "col" }, element("span", { class: "hidden" }, name))))),
        element("tbody", {}, ...rows)
      ),
      more > 0 ? element("p", { class: "note" }, `The label rests on ${text.count(more, "token")} further down as well.`) : null
    );
  }

  /** Score of a list and how it compares with both nulls. */
  function calibration(label) {
    const { number } = text;
    const shown = [["score", number(label.score)], ["rank", number(Math.exp(label.mean_log_rank), 2)]];
    if (label.verified !== null) shown.push(["verified", label.verified ? "yes" : "no"]);
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
  const LABEL = ["label", "kind", "status", "labelled", "verified", "interpretable", "score", "p_value", "q_value", "p_direction", "q_direction", "n_concepts", "mean_log_rank"];

  function asRow(source, labeller, list, spectrum, k) {
    const { label } = list;
    const value = (name) => (spectrum ? spectrum[name][list.index] : null);
    const numbered = (n) => (n < 0 ? null : n);
    const judged = (said) => (typeof said === "boolean" ? (said ? "yes" : "no") : said);
    return [
      source.model.name, source.setting, source.matrix, list.readout, numbered(list.layer), numbered(list.head), list.index, list.side, list.sign,
      rounded(value("value"), 4), spectrum ? numbered(value("block")) : null, value("stability_noise"), labeller || null,
      ...LABEL.map((name) => (label ? judged(label[name === "label" ? "name" : name]) : null)),
      ...Array.from({ length: k }, (_, i) => (i < list.tokens.length ? list.tokens[i] : null)),
      ...Array.from({ length: k }, (_, i) => (i < list.scores.length ? list.scores[i] : null)),
    ];
  }

  function rounded(value, digits) {
    return value === null || Number.isNaN(value) ? null : Number(value.toPrecision(digits));
  }

  /** Header and rows of a CSV with these lists: [source, list, spectrum or null] each. */
  function asCsv(found, labeller) {
    const k = Math.max(0, ...found.map(([, list]) => list.tokens.length));
    const numbered = (name) => Array.from({ length: k }, (_, i) => `${name}_${i + 1}`);
    const header = [...KEYS, "singular_value", "block", "stability", "labeller", ...LABEL, ...numbered("token"), ...numbered("token_score")];
    return [header, found.map(([source, list, spectrum]) => asRow(source, labeller, list, spectrum, k))];
  }

  return { wanted, byDirection, fractions, table, nameOf, tokenLine, marks, listName, directionHead, column, facts, asCsv, forgetLines };
})();
