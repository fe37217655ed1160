// What directions do to what the model predicts, where that was measured.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {{shard: string, metric: "loss" | string[], tokens: number}} EffectsEntry Words are a metric by their log-probability. */
/** @typedef {Record<"first_order" | "rms_activation" | "direct_effect", Float64Array>} EffectNumbers `direct_effect` has both signs. */
/** @typedef {EffectNumbers & {entry: EffectsEntry}} Effects Those of one matrix. */

svdlens.effects = (function () {
  const { element } = svdlens.dom;
  const { shards, sweep, text } = svdlens;

  /**
   * The effects of the directions of one matrix; null where they were not measured.
   * @param {Source} source
   * @param {number} layer
   * @param {number} head
   * @returns {Promise<Effects | null>}
   */
  async function ofCell({ entry: { effects }, frame }, layer, head) {
    if (!effects) return null;
    /** @type {Shard<EffectNumbers, {}>} */
    const { columns } = await shards.load(effects.shard);
    const cell = sweep.cellOf(frame, layer, head);
    /** @type {(values: Float64Array, size: number) => Float64Array} */
    const own = (values, size) => values.subarray(cell * size, (cell + 1) * size);
    return {
      entry: effects,
      first_order: own(columns.first_order, frame.directions),
      rms_activation: own(columns.rms_activation, frame.directions),
      direct_effect: own(columns.direct_effect, 2 * frame.directions),
    };
  }

  /** @param {Effects} effects */
  const metricOf = ({ entry: { metric } }) => (metric === "loss" ? "loss" : "log p");

  /**
   * Names and titles of the columns.
   * @param {Effects} effects
   * @returns {[string, string][]}
   */
  function heads(effects) {
    const { metric, tokens } = effects.entry;
    const what = metric === "loss" ? "the loss" : `the mean log-probability of ${metric.join(", ")} as the next token`;
    return [
      [metricOf(effects), `first-order effect: slope of ${what} in nats per token, as the direction, with its opposite, is scaled up; over ${tokens} tokens of text`],
      ["own tokens", "direct effect: slope of the log-probability of the list's first 15 tokens as the direction is scaled up, past all later layers"],
    ];
  }

  /**
   * @param {Effects} effects
   * @param {ListKeys} list
   */
  function cells(effects, { index, side, sign }) {
    const own = side === "write" ? effects.direct_effect[2 * index + (sign < 0 ? 1 : 0)] : NaN;
    return [
      element("td", { class: "number effect first-order" }, text.number(effects.first_order[index], 2)),
      element("td", { class: "number effect own-tokens" }, text.number(own, 2)),
    ];
  }

  /**
   * What is said of a direction that is opened: names and values.
   * @param {Effects} effects
   * @param {number} index
   */
  function facts(effects, index) {
    return [
      [`d ${metricOf(effects)} / d eps`, text.number(effects.first_order[index])],
      ["activation, rms", text.number(effects.rms_activation[index])],
    ];
  }

  return { ofCell, heads, cells, facts };
})();
