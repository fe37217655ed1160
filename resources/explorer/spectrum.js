// The singular values of one matrix, as a small drawing.
"use strict";
var svdlens = window.svdlens || {};

svdlens.spectrum = (function () {
  const { drawing, element } = svdlens.dom;
  const { number } = svdlens.text;
  const WIDTH = 232;
  const HEIGHT = 84;
  const LEFT = 58; // room for 0.000429, the longest number with three digits
  const BOTTOM = 16;
  const SMALLEST = 1e-6; // of the largest; below that is null space

  /**
   * Values on a logarithmic axis, and below it which vectors the weights leave undetermined.
   * @param {Spectrum} spectrum
   * @param {number} directions how many of them have lists
   */
  function drawingOf(spectrum, directions) {
    const { value, stability_noise } = spectrum;
    const shown = [];
    for (let i = 0; i < value.length; i++) if (value[i] > SMALLEST * value[0]) shown.push(i);
    if (!shown.length) return element("p", { class: "note" }, "All singular values are zero: every direction is null space.");
    const largest = value[0];
    const smallest = value[shown[shown.length - 1]];
    const high = Math.log10(largest);
    const low = Math.min(high - 0.1, Math.log10(smallest));
    /** @param {number} i */
    const x = (i) => LEFT + ((WIDTH - LEFT - 6) * i) / Math.max(1, value.length - 1);
    /** @param {number} singularValue */
    const y = (singularValue) => 6 + ((HEIGHT - BOTTOM - 14) * (high - Math.log10(singularValue))) / (high - low);
    const line = shown.map((i, place) => `${place ? "L" : "M"}${x(i).toFixed(1)} ${y(value[i]).toFixed(1)}`).join("");
    const undetermined = undeterminedRuns(stability_noise, svdlens.sweep.catalogue().determined).map(([first, last]) =>
      drawing("rect", { class: "undetermined", x: x(first) - 1, width: x(last) - x(first) + 2, y: HEIGHT - BOTTOM - 3, height: 3 })
    );
    const last = value.length - 1;
    const lastWithLists = directions - 1;
    const title = `Singular values from ${number(largest, 4)} to ${number(smallest, 4)}, on a logarithmic scale`;
    const many = value.length > 160;
    return drawing(
      "svg",
      { class: "spectrum", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
      lastWithLists < last && drawing("rect", { class: "with-lists", x: LEFT, width: x(lastWithLists) - LEFT, y: 2, height: HEIGHT - BOTTOM - 2 }),
      ...(many ? [] : undetermined),
      drawing("line", { class: "axis", x1: LEFT, x2: WIDTH - 6, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      drawing("path", { class: "line", d: line }),
      ...(many ? [] : shown.map((i) => drawing("circle", { class: "point", cx: x(i).toFixed(1), cy: y(value[i]).toFixed(1), r: 1.4 }))),
      axisLabel(LEFT - 5, y(largest) + 4, number(largest, 3), "end"),
      axisLabel(LEFT - 5, y(smallest) + 3, number(smallest, 3), "end"),
      axisLabel(LEFT, HEIGHT - 4, "0", "middle"),
      axisLabel(x(last), HEIGHT - 4, String(last), "end"),
      lastWithLists < last && x(lastWithLists) < WIDTH - 40 && axisLabel(x(lastWithLists), HEIGHT - 4, String(lastWithLists), "middle")
    );
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {string} words
   * @param {string} anchor
   */
  function axisLabel(x, y, words, anchor) {
    return drawing("text", { x, y, "text-anchor": anchor, class: "axis" }, words);
  }

  /**
   * The near-degenerate clusters of two and more among the first values, in order.
   * @param {ArrayLike<number>} cluster the number of each value's cluster; -1 in the null space
   * @param {number} count how many values
   */
  function clustersOf(cluster, count) {
    /** @type {[first: number, last: number][]} */
    const clusters = [];
    for (let first = 0; first < count; first++) {
      let last = first;
      while (last + 1 < count && cluster[first] >= 0 && cluster[last + 1] === cluster[first]) last++;
      if (last > first) clusters.push([first, last]);
      first = last;
    }
    return clusters;
  }

  /**
   * Runs of directions that the weights leave undetermined, as the first and the last of each, in order.
   * @param {ArrayLike<number>} stability of each direction; NaN in the null space and where it was not measured
   * @param {number} determined the stability from which on a direction is determined
   */
  function undeterminedRuns(stability, determined) {
    /** @type {[first: number, last: number][]} */
    const runs = [];
    for (let first = 0; first < stability.length; first++) {
      if (!(stability[first] < determined)) continue;
      let last = first;
      while (stability[last + 1] < determined) last++;
      runs.push([first, last]);
      first = last;
    }
    return runs;
  }

  return { drawingOf, clustersOf, undeterminedRuns };
})();
