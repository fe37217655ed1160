// Where in a text directions project most, beside their lists.
"use strict";
var svdlens = window.svdlens || {};

svdlens.examples = (function () {
  const { element, messageOf } = svdlens.dom;
  const { sweep, text } = svdlens;

  /**
   * The examples of the lists of one direction, which come when they are loaded; null where none were looked for.
   * @param {Source} source
   * @param {TokenList[]} lists
   */
  function sections(source, lists) {
    if (!sweep.hasExamples(source)) return null;
    const made = element("div", { class: "examples" });
    Promise.all(lists.map((list) => sweep.examples(source, list)))
      .then((found) => made.append(...lists.map((list, i) => section(list, found[i], source.frame.readouts[0]))))
      .catch((error) => made.append(element("p", { class: "note" }, messageOf(error))));
    return made;
  }

  /**
   * @param {TokenList} list
   * @param {Examples | null} found
   * @param {string} readout through which the lists are that the examples were held against
   */
  function section(list, found, readout) {
    const name = list.side === "all" ? text.sign(list.sign) : `${list.side} ${text.sign(list.sign)}`;
    const title = element("h4", {}, element("span", { class: "side" }, name), " in a text");
    if (!found || !found.windows.length) return element("section", { class: "example" }, title, element("p", { class: "note" }, "No examples."));
    const rows = found.windows.map((window) =>
      element(
        "tr",
        {},
        element("td", { class: "before" }, element("bdi", {}, window.before)),
        element("td", { class: "peak" }, text.token(window.token)),
        element("td", { class: "after" }, element("bdi", {}, window.after)),
        element("td", { class: "number" }, text.number(window.projection, 3))
      )
    );
    return element(
      "section",
      { class: "example" },
      title,
      element("p", { class: "note" }, agreement(readout, found)),
      element(
        "table",
        { class: "windows" },
        element("caption", { class: "hidden" }, `Where ${name} projects most in a text, the highest first`),
        element("thead", {}, element("tr", {}, ...["Before", "Token", "After", "Projection"].map((head) => element("th", { scope: "col" }, element("span", { class: "hidden" }, head))))),
        element("tbody", {}, ...rows)
      )
    );
  }

  /**
   * How well the list tells these windows from those of other directions.
   * @param {string} readout
   * @param {Examples} found
   */
  function agreement(readout, { auc_at: at, p_at: pAt, auc_next: next, p_next: pNext }) {
    /** @type {(what: string, auc: number, p: number) => string | null} */
    const said = (what, auc, p) => (Number.isNaN(auc) ? null : `${what} ${text.number(auc, 2)} (p ${text.number(p, 2)})`);
    const parts = [said("the token there", at, pAt), said("the next token", next, pNext)].filter(Boolean);
    return parts.length ? `How often the list through ${readout} ranks these above the tokens of other directions: ${parts.join(", ")}` : "Nothing to compare the list with";
  }

  return { sections };
})();
