// The grid: a matrix for each layer and head, or a bar for each layer, coloured by a quantity.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {{layer: number, head: number, found: QuantityValue | null, zero?: boolean}} Cell One matrix of the grid, with its value; whether it is zero. */

svdlens.grid = (function () {
  const { element, withProperty } = svdlens.dom;
  const { quantities, text } = svdlens;
  const MOST_NUMBERED = 12; // heads whose numbers fit above two grids side by side

  /**
   * The matrices of a source, layer by layer.
   * @param {Source} source
   * @param {Summary} summary
   * @param {Quantity} quantity
   * @param {Reading} reading
   * @returns {Cell[]}
   */
  function cellsOf(source, summary, quantity, reading) {
    const { frame } = source;
    return frame.layers.flatMap((layer) =>
      frame.heads.map((head) => ({
        layer,
        head,
        found: quantities.valueOf(source, summary, quantity, reading, layer, head),
        zero: quantities.isZero(source, summary, layer, head),
      }))
    );
  }

  /**
   * The cell with the largest value, or the first.
   * @param {Cell[]} cells
   */
  function largest(cells) {
    let best = cells[0];
    for (const cell of cells) if (cell.found && (!best.found || cell.found.value > best.found.value)) best = cell;
    return best;
  }

  /**
   * What the address has for a matrix: layer and head, where its kind has them.
   * @param {Pick<Cell, "layer" | "head">} cell
   */
  function addressOf({ layer, head }) {
    return { layer: layer < 0 ? null : layer, head: head < 0 ? null : head };
  }

  /**
   * The grid of one source. One cell can be reached by Tab, the others from there by the arrow keys.
   * @param {Source} source
   * @param {Cell[]} cells
   * @param {Quantity} quantity
   * @param {Scale} scale
   * @param {(cell: Cell) => void} choose called with a cell that is chosen
   * @param {(words: string) => void} describe called with the words of a cell that is looked at
   */
  function gridOf(source, cells, quantity, scale, choose, describe) {
    const { frame } = source;
    const bars = frame.heads[0] < 0;
    const columns = frame.heads.length;
    const buttons = cells.map((cell) => {
      const button = element("button", {
        type: "button",
        class: cell.found ? "cell" : "cell missing",
        tabindex: -1,
        "aria-label": `${text.cell(cell.layer, cell.head)}: ${cell.zero && !cell.found ? "zero, all null space" : quantities.inWords(quantity, cell.found)}`,
        "data-layer": cell.layer,
        "data-head": cell.head,
      });
      if (cell.found) {
        const { colour, light } = scale.fill(cell.found.value);
        withProperty(button, "--fill", colour);
        button.classList.add(light ? "light" : "dark");
        if (bars) fillBar(button, cell.found, scale, quantity);
        else button.append(element("span", { class: "value" }, short(quantity, cell.found.value)));
      }
      return button;
    });
    const rows = frame.layers.map((layer, i) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, layer < 0 ? "" : String(layer)),
        ...buttons.slice(i * columns, (i + 1) * columns).map((button) => element("td", {}, button))
      )
    );
    const header = element(
      "tr",
      {},
      element("th", { scope: "col", class: "corner" }, element("span", { class: "hidden" }, frame.layers[0] < 0 ? "Matrix" : "Layer")),
      ...frame.heads.map((head) => element("th", { scope: "col", class: head % 5 ? "between" : null }, bars ? element("span", { class: "hidden" }, quantity.name) : String(head)))
    );
    /** @param {Event & {target: Element}} event */
    const placeOf = (event) => buttons.findIndex((button) => button.contains(event.target));
    /** @param {Event & {target: Element}} event */
    const chooseCell = (event) => {
      const place = placeOf(event);
      if (place >= 0) choose(cells[place]);
    };
    /** @param {Event & {target: Element}} event */
    const describeCell = (event) => {
      const place = placeOf(event);
      if (place >= 0) describe(buttons[place].getAttribute("aria-label") || "");
    };
    const table = element(
      "table",
      {
        class: `grid${bars ? " bars" : ""}${columns > MOST_NUMBERED ? " many" : ""}`,
        onclick: chooseCell,
        onkeydown: (event) => move(event, buttons, columns),
        onpointerover: describeCell,
        onfocusin: describeCell,
      },
      element("caption", { class: "hidden" }, `${quantity.name}, ${frame.layers[0] < 0 ? "of the matrix" : bars ? "by layer" : "by layer and head"}, ${source.model.name}, ${source.setting}`),
      element("thead", {}, header),
      element("tbody", {}, ...rows)
    );
    return withProperty(withProperty(table, "--columns", columns), "--rows", frame.layers.length);
  }

  /**
   * Mark the cell that is open; none for null.
   * @param {HTMLElement} table
   * @param {Cell | null} cell
   */
  function mark(table, cell) {
    const buttons = [...table.querySelectorAll("button")];
    const chosen = cell && buttons.find((button) => Number(button.dataset.layer) === cell.layer && Number(button.dataset.head) === cell.head);
    for (const button of buttons.filter((button) => button.tabIndex === 0 || button.hasAttribute("aria-current"))) {
      button.removeAttribute("aria-current");
      button.tabIndex = -1;
    }
    if (chosen) chosen.setAttribute("aria-current", "true");
    (chosen || buttons[0]).tabIndex = 0;
    return chosen;
  }

  /**
   * A value as short as a cell.
   * @param {Quantity} quantity
   * @param {number} value
   */
  function short(quantity, value) {
    if (quantity.scale === "log") return text.number(value, 2);
    const percent = Math.round(100 * Math.abs(value));
    return `${value < 0 && percent ? "\u2212" : ""}${percent}`;
  }

  /**
   * How far along its scale a value is, no less than 0 and no more than 1.
   * @param {Scale} scale
   * @param {number} value
   */
  function shareOf(scale, value) {
    return Math.min(1, Math.max(0, scale.share(value)));
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {QuantityValue} found
   * @param {Scale} scale
   * @param {Quantity} quantity
   */
  function fillBar(button, found, scale, quantity) {
    const from = quantity.scale === "signed" ? 0.5 : 0;
    const to = shareOf(scale, found.value);
    const bar = element("span", { class: "bar" });
    withProperty(bar, "--from", `${100 * Math.min(from, to)}%`);
    withProperty(bar, "--width", `${100 * Math.abs(to - from)}%`);
    button.append(bar);
    if (quantities.isKnown(found.control)) {
      button.append(withProperty(element("span", { class: "control" }), "--at", `${100 * shareOf(scale, found.control)}%`));
    }
    button.append(element("span", { class: "value" }, short(quantity, found.value)));
  }

  /**
   * Move from a cell to another by a key.
   * @param {KeyboardEvent & {target: HTMLButtonElement}} event
   * @param {HTMLButtonElement[]} buttons
   * @param {number} columns
   */
  function move(event, buttons, columns) {
    const at = buttons.indexOf(event.target);
    const row = Math.floor(at / columns);
    /** @type {Record<string, number>} */
    const targets = {
      ArrowLeft: at % columns ? at - 1 : at,
      ArrowRight: at % columns < columns - 1 ? at + 1 : at,
      ArrowUp: at - columns,
      ArrowDown: at + columns,
      Home: event.ctrlKey ? 0 : row * columns,
      End: event.ctrlKey ? buttons.length - 1 : (row + 1) * columns - 1,
    };
    const to = targets[event.key];
    if (at < 0 || to === undefined || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (!buttons[to]) return;
    buttons[at].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  }

  /**
   * The colours with numbers, and where random directions are.
   * @param {Quantity} quantity
   * @param {Scale} scale
   * @param {(number | null | undefined)[]} controls
   */
  function legend(quantity, scale, controls) {
    const bar = element("div", { class: "ramp" });
    withProperty(bar, "--ramp", scale.gradient);
    const known = quantity.scale === "share" ? [...new Set(controls.filter(quantities.isKnown))] : [];
    for (const control of known) {
      const line = element("span", { class: "control", title: `random directions ${text.percent(control, 1)}` });
      bar.append(withProperty(line, "--at", `${100 * shareOf(scale, control)}%`));
    }
    const ticks = element("div", { class: "ticks" }, ...scale.ticks.map(([, label]) => element("span", {}, label)));
    if (!known.length) return element("div", { class: "legend" }, bar, ticks);
    const name = quantity.key === "beyond" ? "expected of random directions" : "random directions";
    const shares = known.map((value) => text.percent(value, 1)).join(", ");
    const note = element("span", { class: "note" }, element("span", { class: "control-key", "aria-hidden": "true" }), `${name} ${shares}`);
    return element("div", { class: "legend" }, bar, ticks, note);
  }

  return { cellsOf, largest, addressOf, gridOf, mark, legend };
})();
