// What the grid can show of each matrix, and its numbers out of the summaries.
"use strict";
var svdlens = window.svdlens || {};

/**
 * What the grid can show. One of three is there: `kind`, of the fractions; `counts`, of the labels; `fact`, of the spectra.
 * @typedef {object} Quantity
 * @property {string} key in the address
 * @property {string} name
 * @property {ScaleKind} scale
 * @property {string} [kind]
 * @property {string[]} [counts]
 * @property {string} [fact]
 */
/** @typedef {{labelling: string | null, readout: string, side: string}} Reading Which labels of which lists are meant. */
/** @typedef {Record<"low" | "high" | "control_fraction" | "excess" | "excess_low" | "excess_high", number>} FractionNumbers */
/** @typedef {FractionNumbers & {n: number, k: number, value: number}} Fraction `k` of `n` lists, and what stands beside it. */
/** @typedef {{value: number, low?: number, high?: number, n?: number, k?: number, control?: number | null}} QuantityValue */
/** @typedef {"labeller" | "criterion" | "readout" | "side" | "kind"} FractionKey */
/** @typedef {Record<FractionKey | "layer" | "head" | "n" | "k", Int32Array> & Record<keyof FractionNumbers, Float64Array>} FractionColumns */
/** @typedef {Record<string, Int32Array | Float64Array>} CellColumns By "labels." or "spectra." and what is counted. */
/** @typedef {Record<FractionKey | "labellers", string[]>} SummaryFacts */
/** @typedef {Shard<FractionColumns & CellColumns, SummaryFacts> & {fractions?: Map<string, number>}} SummaryShard */
/** @typedef {SummaryShard & {fractions: Map<string, number>}} Summary Rows of the fractions by key. */

svdlens.quantities = (function () {
  const { shards } = svdlens;

  /** @type {Quantity[]} */
  const QUANTITIES = [
    { key: "interpretable", name: "Interpretable", scale: "share", kind: "all" },
    { key: "excess", name: "Excess over random", scale: "signed", kind: "all" },
    { key: "semantic", name: "Semantic", scale: "share", kind: "semantic" },
    { key: "grammatical", name: "Grammatical", scale: "share", kind: "grammatical" },
    { key: "orthographic", name: "Orthographic", scale: "share", kind: "orthographic" },
    { key: "common", name: "Frequency or glitch lists", scale: "share", counts: ["common", "ok"] },
    { key: "beyond", name: "Better than random, p < 0.05", scale: "share", counts: ["beyond", "calibrated"] },
    { key: "rank", name: "Frequency rank of tokens", scale: "log", counts: ["log_rank"] },
    { key: "top", name: "Largest singular value", scale: "log", fact: "top" },
    { key: "energy", name: "Energy of the kept values", scale: "share", fact: "energy" },
    { key: "stability", name: "Stability, median", scale: "share", fact: "stability" },
    { key: "undetermined", name: "Not determined by the weights", scale: "share", fact: "undetermined" },
  ];

  /** @param {string | undefined} key */
  const quantityOf = (key) => QUANTITIES.find((quantity) => quantity.key === key);

  /**
   * The summary of a source, with its fractions by key.
   * @param {Source} source
   * @returns {Promise<Summary>}
   */
  async function summaryOf(source) {
    /** @type {SummaryShard} */
    const shard = await shards.load(source.entry.summary);
    const fractions = shard.fractions || fractionRows(shard);
    return Object.assign(shard, { fractions });
  }

  /** @param {SummaryShard} shard */
  function fractionRows({ columns, facts }) {
    /** @type {FractionKey[]} */
    const keys = ["labeller", "criterion", "readout", "side", "kind"];
    /** @type {Map<string, number>} */
    const rows = new Map();
    for (let row = 0; row < columns.n.length; row++) {
      const names = keys.map((key) => facts[key][columns[key][row]]);
      rows.set([...names, columns.layer[row], columns.head[row]].join("|"), row);
    }
    return rows;
  }

  /**
   * The labellings that there are fractions of, as labeller:criterion.
   * @param {Summary} summary
   */
  function labellings(summary) {
    const found = new Set();
    for (const key of summary.fractions.keys()) found.add(key.split("|").slice(0, 2).join(":"));
    return /** @type {string[]} */ ([...found]);
  }

  /**
   * A labelling's labeller and criterion.
   * @param {string} labelling
   */
  function partsOf(labelling) {
    const split = labelling.indexOf(":");
    return { labeller: labelling.slice(0, split), criterion: labelling.slice(split + 1) };
  }

  /**
   * A fraction with what stands beside it, or null. Layer and head -1: of all.
   * @param {Summary} summary
   * @param {Reading} reading
   * @param {string} kind
   * @param {number} layer
   * @param {number} head
   * @returns {Fraction | null}
   */
  function fraction({ columns, fractions }, { labelling, readout, side }, kind, layer, head) {
    if (!labelling) return null;
    const { labeller, criterion } = partsOf(labelling);
    const row = fractions.get([labeller, criterion, readout, side, kind, layer, head].join("|"));
    if (row === undefined) return null;
    const [n, k] = [columns.n[row], columns.k[row]];
    return {
      n,
      k,
      value: k / n,
      low: columns.low[row],
      high: columns.high[row],
      control_fraction: columns.control_fraction[row],
      excess: columns.excess[row],
      excess_low: columns.excess_low[row],
      excess_high: columns.excess_high[row],
    };
  }

  /**
   * The value of a quantity of one matrix, with what stands beside it; null if there is none.
   * @param {Source} source
   * @param {Summary} summary
   * @param {Quantity} quantity
   * @param {Reading} reading
   * @param {number} layer
   * @param {number} head
   * @returns {QuantityValue | null}
   */
  function valueOf(source, summary, quantity, reading, layer, head) {
    const cell = svdlens.sweep.cellOf(source.frame, layer, head);
    if (quantity.fact) {
      const value = summary.columns[`spectra.${quantity.fact}`][cell];
      return Number.isNaN(value) ? null : { value };
    }
    if (quantity.counts) return valueOfCounts(source, summary, quantity, quantity.counts, reading, cell);
    const found = fraction(summary, reading, quantity.kind || "all", layer, head);
    if (!found || !found.n) return null;
    if (quantity.scale !== "signed") return { ...found, control: found.control_fraction };
    if (Number.isNaN(found.excess)) return null;
    return { ...found, value: found.excess, low: found.excess_low, high: found.excess_high, control: null };
  }

  /**
   * Whether all singular values of a matrix are zero, so that every direction is null space, which has no list to label.
   * @param {Source} source
   * @param {Summary} summary
   * @param {number} layer
   * @param {number} head
   */
  function isZero({ frame }, summary, layer, head) {
    return summary.columns["spectra.top"][svdlens.sweep.cellOf(frame, layer, head)] === 0;
  }

  /**
   * A share of labels, or the mean rank, over the sides that are asked for.
   * @param {Source} source
   * @param {Summary} summary
   * @param {Quantity} quantity
   * @param {string[]} counts
   * @param {Reading} reading
   * @param {number} cell
   * @returns {QuantityValue | null}
   */
  function valueOfCounts({ frame }, summary, quantity, counts, reading, cell) {
    const labeller = reading.labelling ? summary.facts.labellers.indexOf(partsOf(reading.labelling).labeller) : -1;
    if (labeller < 0) return null;
    const cells = frame.layers.length * frame.heads.length;
    const start = ((labeller * cells + cell) * frame.readouts.length + frame.readouts.indexOf(reading.readout)) * frame.sides.length;
    const sides = frame.sides.flatMap((side, place) => (reading.side === "all" || reading.side === side ? [place] : []));
    const [some, all] = counts.map((name) => sides.reduce((sum, place) => sum + summary.columns[`labels.${name}`][start + place], 0));
    if (quantity.key === "rank") return Number.isNaN(some) || !sides.length ? null : { value: Math.exp(some / sides.length) };
    if (!all) return null;
    const control = quantity.key === "beyond" ? svdlens.sweep.catalogue().beyond : null;
    return { value: some / all, k: some, n: all, control };
  }

  /**
   * A value in words: with how many of how many, interval and control, where there are.
   * @param {Quantity} quantity
   * @param {QuantityValue | null} found
   */
  function inWords(quantity, found) {
    const { number, percent, points, range, pointsRange } = svdlens.text;
    if (!found) return "none";
    const { value, low, high, n, k, control } = found;
    /** @type {Record<ScaleKind, () => string>} */
    const shown = {
      share: () => percent(value, 1),
      signed: () => points(value, 1),
      log: () => number(value, quantity.key === "top" ? 4 : 3),
    };
    const beside = [];
    if (n !== undefined && quantity.scale === "share") beside.push(`${k} of ${n}`);
    if (isKnown(low) && isKnown(high)) beside.push(`95\u202f%: ${(quantity.scale === "signed" ? pointsRange : range)(low, high, 1)}`);
    return shown[quantity.scale]() + (beside.length ? ` (${beside.join("; ")})` : "") + (isKnown(control) ? `, random ${percent(control, 1)}` : "");
  }

  /**
   * @param {number | null | undefined} value
   * @returns {value is number}
   */
  function isKnown(value) {
    return value !== null && value !== undefined && !Number.isNaN(value);
  }

  return { QUANTITIES, quantityOf, summaryOf, labellings, partsOf, fraction, valueOf, isZero, inWords, isKnown };
})();
