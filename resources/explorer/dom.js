// Elements without HTML: texts of tokens and labels go through textContent and attributes, never through a parser.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {Node | string | null | undefined | false} Child What goes into an element; nothing for the last three. */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */
/** @typedef {[value: string, text: string, reasonWhyNot?: string | null]} Option One of a choice; it may be ruled out. */
/** @typedef {{name: string, options: Option[]}} OptionGroup */

svdlens.dom = (function () {
  /**
   * An element with attributes, listeners ("onclick": function) and children.
   * @template {keyof HTMLElementTagNameMap} Name
   * @param {Name} name
   * @param {Attributes} attributes
   * @param {(Child | Child[])[]} children
   * @returns {HTMLElementTagNameMap[Name]}
   */
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    fill(made, attributes, children);
    return made;
  }

  /**
   * The same for drawings.
   * @template {keyof SVGElementTagNameMap} Name
   * @param {Name} name
   * @param {Attributes} attributes
   * @param {(Child | Child[])[]} children
   * @returns {SVGElementTagNameMap[Name]}
   */
  function drawing(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    fill(made, attributes, children);
    return made;
  }

  /**
   * @param {Element} made
   * @param {Attributes} attributes
   * @param {(Child | Child[])[]} children
   */
  function fill(made, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    for (const child of children.flat()) {
      if (child !== null && child !== undefined && child !== false) made.append(child);
    }
  }

  /**
   * The element with a custom property of CSS; the page allows no style attributes.
   * @template {HTMLElement} Made
   * @param {Made} made
   * @param {string} name
   * @param {string | number} value
   * @returns {Made}
   */
  function withProperty(made, name, value) {
    made.style.setProperty(name, String(value));
    return made;
  }

  /**
   * An element that index.html has.
   * @param {string} id
   * @returns {HTMLElement}
   */
  function byId(id) {
    return /** @type {HTMLElement} */ (document.getElementById(id));
  }

  /**
   * Tell those who do not see the page what has changed.
   * @param {string} text
   */
  function announce(text) {
    byId("status").textContent = text;
  }

  /**
   * What is missing, or to be kept in mind.
   * @param {string} text
   */
  function notice(text) {
    return element("p", { class: "notice" }, text);
  }

  /**
   * What an error says, for readers.
   * @param {unknown} error
   * @returns {string}
   */
  function messageOf(error) {
    return error instanceof Error ? error.message : String(error);
  }

  /**
   * A choice among a few, as radio buttons in a row.
   * @param {string} legend
   * @param {string} name
   * @param {Option[]} options
   * @param {string} chosen
   * @param {(value: string) => void} choose
   */
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

  /**
   * A choice among many.
   * @param {string} legend
   * @param {string} id
   * @param {(Option | OptionGroup)[]} options
   * @param {string | null} chosen
   * @param {(value: string) => void} choose
   */
  function select(legend, id, options, chosen, choose) {
    /** @param {Option} option */
    const option = ([value, text, reasonWhyNot]) =>
      element("option", { value, selected: value === chosen, disabled: Boolean(reasonWhyNot) }, reasonWhyNot ? `${text} (${reasonWhyNot})` : text);
    return element(
      "label",
      { class: "select", for: id },
      element("span", {}, legend),
      element(
        "select",
        { id, onchange: (event) => choose(event.target.value) },
        ...options.map((one) =>
          Array.isArray(one) ? option(one) : element("optgroup", { label: one.name }, ...one.options.map(option))
        )
      )
    );
  }

  /**
   * Names as options that show them.
   * @param {string[]} names
   * @param {(name: string) => string} [shown]
   * @returns {Option[]}
   */
  function optionsOf(names, shown = (name) => name) {
    return names.map((name) => [name, shown(name)]);
  }

  return { element, drawing, withProperty, byId, announce, notice, messageOf, segments, select, optionsOf };
})();
