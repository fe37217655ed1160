// What the grid can show of each matrix, and its numbers out of the summaries.
"use strict";
var svdlens = window.svdlens || {};

svdlens.quantities = (function () {
  const { shards } = svdlens;

  // kind: of the fraction; count: of the labels; fact: of the spectrum.
  const QUANTITIES = [
    { key: "interpretable", name: "Interpretable", scale: "share", kind: "all" },
    { key: "excess", name: "Excess over random", scale: "signed", kind: "all" },
    { key: "semantic", name: "Semantic", scale: "share", kind: "semantic" },
    { key: "grammatical", name: "Grammatical", scale: "share", kind: "grammatical" },
    { key: "orthographic", name: "Orthographic", scale: "share", kind: "orthographic" },
    { key: "common", name: "Frequency or glitch lists", scale: "share", count: ["common", "ok"] },
    { key: "beyond", name: "Better than random, p < 0.05", scale: "share", count: ["beyond", "calibrated"] },
    { key: "rank", name: "Frequency rank of tokens", scale: "log", count: ["log_rank"] },
    { key: "top", name: "Largest singular value", scale: "log", fact: "top" },
    { key: "energy", name: "Energy of the kept values", scale: "share", fact: "energy" },
    { key: "stability", name: "Stability, median", scale: "share", fact: "stability" },
    { key: "together", name: "In blocks of near-equal values", scale: "share", fact: "together" },
  ];
  const of = (key) => QUANTITIES.find((quantity) => quantity.key === key);

  /** The summary of a source, with its fractions by key. */
  async function summaryOf(source) {
    const shard = await shards.load(source.entry.summary);
    if (!shard.fractions) {
      const { columns, facts } = shard;
      shard.fractions = new Map();
      for (let i = 0; i < columns.n.length; i++) {
        const names = ["labeller", "rule", "readout", "side", "kind"].map((name) => facts[name][columns[name][i]]);
        shard.fractions.set([...names, columns.layer[i], columns.head[i]].join("|"), i);
      }
    }
    return shard;
  }

  /** The labellings that there are fractions of, as labeller:rule. */
  function labellings(summary) {
    const found = new Set();
    for (const key of summary.fractions.keys()) found.add(key.split("|").slice(0, 2).join(":"));
    return [...found];
  }

  /** A fraction with what stands beside it, or null. Layer and head -1: of all. */
  function fraction(summary, labelling, readout, side, kind, layer, head) {
    const split = labelling.indexOf(":");
    const names = [labelling.slice(0, split), labelling.slice(split + 1), readout, side, kind, layer, head];
    const i = summary.fractions.get(names.join("|"));
    if (i === undefined) return null;
    const one = { n: summary.columns.n[i], k: summary.columns.k[i] };
    for (const name of ["low", "high", "control_fraction", "excess", "excess_low", "excess_high"]) {
      one[name] = summary.columns[name][i];
    }
    return { ...one, value: one.k / one.n };
  }

  /** {value, and low, high, n, k, control where there are} of a quantity of one matrix; null if there is none. */
  function valueOf(source, summary, quantity, choice, layer, head) {
    const { frame } = source;
    const cell = frame.layers.indexOf(layer) * frame.heads.length + frame.heads.indexOf(head);
    if (quantity.fact) {
      const value = summary.columns[`spectra.${quantity.fact}`][cell];
      return Number.isNaN(value) ? null : { value };
    }
    if (!choice.labelling) return null;
    if (quantity.kind) {
      const found = fraction(summary, choice.labelling, choice.readout, choice.side, quantity.kind, layer, head);
      if (!found || !found.n) return null;
      if (quantity.scale !== "signed") return { ...found, control: found.control_fraction };
      if (Number.isNaN(found.excess)) return null;
      return { ...found, value: found.excess, low: found.excess_low, high: found.excess_high, control: null };
    }
    return countOf(source, summary, quantity, choice, cell);
  }

  function countOf({ frame }, summary, quantity, choice, cell) {
    const labeller = summary.facts.labellers.indexOf(choice.labelling.split(":")[0]);
    if (labeller < 0) return null;
    const sums = quantity.count.map(() => 0);
    let n = 0;
    frame.sides.forEach((side, place) => {
      if (choice.side !== "all" && choice.side !== side) return;
      const readout = frame.readouts.indexOf(choice.readout);
      const cells = frame.layers.length * frame.heads.length;
      const at = ((labeller * cells + cell) * frame.readouts.length + readout) * frame.sides.length + place;
      quantity.count.forEach((name, i) => (sums[i] += summary.columns[`labels.${name}`][at]));
      n += 1;
    });
    if (quantity.key === "rank") return Number.isNaN(sums[0]) || !n ? null : { value: Math.exp(sums[0] / n) };
    if (!sums[1]) return null;
    const control = quantity.key === "beyond" ? svdlens.catalogue.beyond : null;
    return { value: sums[0] / sums[1], k: sums[0], n: sums[1], control };
  }

  /** A value in words: with how many of how many, interval and control, where there are. */
  function words(quantity, found) {
    const { number, percent, signedPercent, range } = svdlens.text;
    if (!found) return "none";
    const shown = {
      share: (value) => percent(value, 1),
      signed: (value) => signedPercent(value, 1),
      log: (value) => number(value, quantity.key === "top" ? 4 : 3),
    }[quantity.scale](found.value);
    const beside = [];
    if (found.n !== undefined && quantity.scale === "share") beside.push(`${found.k} of ${found.n}`);
    if (found.low !== undefined && !Number.isNaN(found.low)) beside.push(`95\u202f%: ${range(found.low, found.high, 1)}`);
    const control = found.control !== null && found.control !== undefined && !Number.isNaN(found.control);
    return shown + (beside.length ? ` (${beside.join("; ")})` : "") + (control ? `, random ${percent(found.control, 1)}` : "");
  }

  return { QUANTITIES, of, summaryOf, labellings, fraction, valueOf, words };
})();
