// Elements without HTML: texts of tokens and labels go through textContent and attributes, never through a parser.
"use strict";
var svdlens = window.svdlens || {};

svdlens.dom = (function () {
  /** An element with attributes, listeners ("onclick": function) and children (elements, texts, or nothing). */
  function element(name, attributes, ...children) {
    return fill(document.createElement(name), attributes, children);
  }

  /** The same for drawings. */
  function drawing(name, attributes, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }

  function fill(made, attributes, children) {
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }

  /** A custom property of CSS; the page allows no style attributes. */
  function withProperty(made, name, value) {
    made.style.setProperty(name, value);
    return made;
  }

  function byId(id) {
    return document.getElementById(id);
  }

  /** Tell those who do not see the page what has changed. */
  function announce(text) {
    byId("status").textContent = text;
  }

  /** A choice among a few, as radio buttons in a row. */
  function segments(legend, name, options, chosen, choose) {
    return element(
      "fieldset",
      { class: "segments" },
      element("legend", {}, legend),
      ...options.map(([value, text]) =>
        element(
          "label",
          {},
          element("input", { type: "radio", id: `${name}-${value}`, name, value, checked: value === chosen, onchange: () => choose(value) }),
          element("span", {}, text)
        )
      )
    );
  }

  /** A choice among many. `options` are [value, text, reason why not] or {group, options}. */
  function select(legend, id, options, chosen, choose) {
    const option = ([value, text, why]) =>
      element("option", { value, selected: value === chosen, disabled: Boolean(why) }, why ? `${text} (${why})` : text);
    return element(
      "label",
      { class: "select", for: id },
      element("span", {}, legend),
      element(
        "select",
        { id, onchange: (event) => choose(event.target.value) },
        ...options.map((one) =>
          Array.isArray(one) ? option(one) : element("optgroup", { label: one.group }, ...one.options.map(option))
        )
      )
    );
  }

  return { element, drawing, withProperty, byId, announce, segments, select };
})();
