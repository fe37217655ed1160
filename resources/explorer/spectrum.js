// The singular values of one matrix, as a small drawing.
"use strict";
var svdlens = window.svdlens || {};

svdlens.spectrum = (function () {
  const { drawing, element } = svdlens.dom;
  const { number } = svdlens.text;
  const WIDTH = 232;
  const HEIGHT = 84;
  const LEFT = 48;
  const BOTTOM = 16;
  const SMALLEST = 1e-6; // of the largest; below that is null space

  /** Values on a logarithmic axis, those of blocks joined; `kept` is how many of them have lists. */
  function drawingOf(spectrum, kept) {
    const { value, block } = spectrum;
    const shown = [];
    for (let i = 0; i < value.length; i++) if (value[i] > SMALLEST * value[0]) shown.push(i);
    if (!shown.length) return element("p", { class: "note" }, "All singular values are zero.");
    const high = Math.log10(value[0]);
    const low = Math.min(high - 0.1, Math.log10(value[shown[shown.length - 1]]));
    const x = (i) => LEFT + ((WIDTH - LEFT - 6) * i) / Math.max(1, value.length - 1);
    const y = (v) => 6 + ((HEIGHT - BOTTOM - 14) * (high - Math.log10(v))) / (high - low);
    const line = shown.map((i, place) => `${place ? "L" : "M"}${x(i).toFixed(1)} ${y(value[i]).toFixed(1)}`).join("");
    const label = (at, to, words, anchor) =>
      drawing("text", { x: at, y: to, "text-anchor": anchor, class: "axis" }, words);
    const blocks = runs(block, shown.length).map(([from, to]) =>
      drawing("rect", { class: "block", x: x(from) - 1, width: x(to) - x(from) + 2, y: HEIGHT - BOTTOM - 3, height: 3 })
    );
    const last = value.length - 1;
    const title = `Singular values from ${number(value[0], 4)} to ${number(value[shown[shown.length - 1]], 4)}, on a logarithmic scale`;
    const many = value.length > 160;
    return drawing(
      "svg",
      { class: "spectrum", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
      kept < value.length && drawing("rect", { class: "kept", x: LEFT, width: x(kept - 1) - LEFT, y: 2, height: HEIGHT - BOTTOM - 2 }),
      ...(many ? [] : blocks),
      drawing("line", { class: "axis", x1: LEFT, x2: WIDTH - 6, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      drawing("path", { class: "line", d: line }),
      ...(many ? [] : shown.map((i) => drawing("circle", { class: "point", cx: x(i).toFixed(1), cy: y(value[i]).toFixed(1), r: 1.4 }))),
      label(LEFT - 5, y(value[0]) + 4, number(value[0], 3), "end"),
      label(LEFT - 5, y(value[shown[shown.length - 1]]) + 3, number(value[shown[shown.length - 1]], 3), "end"),
      label(LEFT, HEIGHT - 4, "0", "middle"),
      label(x(last), HEIGHT - 4, String(last), "end"),
      kept < value.length && x(kept - 1) < WIDTH - 40 && label(x(kept - 1), HEIGHT - 4, String(kept - 1), "middle")
    );
  }

  /** [first, last] of each run of near-equal values. */
  function runs(block, n) {
    const found = [];
    for (let i = 0; i < n; i++) {
      let end = i;
      while (end + 1 < n && block[i] >= 0 && block[end + 1] === block[i]) end++;
      if (end > i) found.push([i, end]);
      i = end;
    }
    return found;
  }

  return { drawingOf, runs };
})();
