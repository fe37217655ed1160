// The grid: a matrix for each layer and head, or a bar for each layer, coloured by a quantity.
"use strict";
var svdlens = window.svdlens || {};

svdlens.grid = (function () {
  const { element, withProperty } = svdlens.dom;
  const { quantities, colours, text } = svdlens;
  const MANY = 12; // heads whose numbers fit above two grids side by side

  /** Values of a source: [{layer, head, found}], layer by layer. */
  function cellsOf(source, summary, quantity, choice) {
    const { frame } = source;
    return frame.layers.flatMap((layer) =>
      frame.heads.map((head) => ({
        layer,
        head,
        found: quantities.valueOf(source, summary, quantity, choice, layer, head),
      }))
    );
  }

  /** The cell with the largest value, or the first. */
  function largest(cells) {
    let best = cells[0];
    for (const cell of cells) if (cell.found && (!best.found || cell.found.value > best.found.value)) best = cell;
    return best;
  }

  /**
   * The grid of one source. `choose` is called with a cell, `readout` with the words of the one that is looked at.
   * One cell can be reached by Tab, the others from there by the arrow keys.
   */
  function gridOf(source, cells, quantity, scale, choose, readout) {
    const { frame } = source;
    const bars = frame.heads[0] < 0;
    const columns = frame.heads.length;
    const buttons = cells.map((cell) => {
      const words = quantities.words(quantity, cell.found);
      const button = element("button", {
        type: "button",
        class: cell.found ? "cell" : "cell missing",
        tabindex: -1,
        "aria-label": `${text.place(cell.layer, cell.head)}: ${words}`,
        "data-layer": cell.layer,
        "data-head": cell.head,
      });
      if (cell.found) {
        const { colour, light } = scale.fill(cell.found.value);
        withProperty(button, "--fill", colour);
        button.classList.add(light ? "light" : "dark");
        if (bars) fillBar(button, cell, scale, quantity);
        else button.append(element("span", { class: "value" }, short(quantity, cell.found.value)));
      }
      return button;
    });
    const rows = frame.layers.map((layer, i) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, String(layer)),
        ...buttons.slice(i * columns, (i + 1) * columns).map((button) => element("td", {}, button))
      )
    );
    const header = element(
      "tr",
      {},
      element("th", { scope: "col", class: "corner" }, element("span", { class: "hidden" }, "Layer")),
      ...frame.heads.map((head) => element("th", { scope: "col", class: head % 5 ? "between" : null }, bars ? element("span", { class: "hidden" }, quantity.name) : String(head)))
    );
    const cellAt = (event) => cells[buttons.indexOf(event.target.closest("button"))];
    const say = (event) => {
      const button = event.target.closest("button");
      if (button) readout(button.getAttribute("aria-label"));
    };
    const table = element(
      "table",
      {
        class: `grid${bars ? " bars" : ""}${columns > MANY ? " many" : ""}`,
        onclick: (event) => cellAt(event) && choose(cellAt(event)),
        onkeydown: (event) => move(event, buttons, columns),
        onpointerover: say,
        onfocusin: say,
      },
      element("caption", { class: "hidden" }, `${quantity.name}, ${bars ? "by layer" : "by layer and head"}, ${source.model.name}, ${source.setting}`),
      element("thead", {}, header),
      element("tbody", {}, ...rows)
    );
    return withProperty(withProperty(table, "--columns", columns), "--rows", frame.layers.length);
  }

  /** Mark the cell that is open; none for null. */
  function mark(table, cell) {
    const buttons = [...table.querySelectorAll("button")];
    const chosen = cell && buttons.find((button) => Number(button.dataset.layer) === cell.layer && Number(button.dataset.head) === cell.head);
    for (const button of table.querySelectorAll("[aria-current], [tabindex='0']")) {
      button.removeAttribute("aria-current");
      button.tabIndex = -1;
    }
    if (chosen) chosen.setAttribute("aria-current", "true");
    (chosen || buttons[0]).tabIndex = 0;
    return chosen;
  }

  function short(quantity, value) {
    if (quantity.scale === "log") return text.number(value, 2);
    const percent = Math.round(100 * Math.abs(value));
    return (value < 0 && percent ? "\u2212" : "") + percent;
  }

  function fillBar(button, cell, scale, quantity) {
    const share = (value) => `${100 * Math.min(1, Math.max(0, scale.share(value)))}%`;
    const from = quantity.scale === "signed" ? 0.5 : 0;
    const to = Math.min(1, Math.max(0, scale.share(cell.found.value)));
    const bar = element("span", { class: "bar" });
    withProperty(bar, "--from", `${100 * Math.min(from, to)}%`);
    withProperty(bar, "--width", `${100 * Math.abs(to - from)}%`);
    button.append(bar);
    const { control } = cell.found;
    if (control !== null && control !== undefined && !Number.isNaN(control)) {
      button.append(withProperty(element("span", { class: "control" }), "--at", share(control)));
    }
    button.append(element("span", { class: "value" }, short(quantity, cell.found.value)));
  }

  function move(event, buttons, columns) {
    const at = buttons.indexOf(event.target);
    const row = Math.floor(at / columns);
    const to = {
      ArrowLeft: at % columns ? at - 1 : at,
      ArrowRight: at % columns < columns - 1 ? at + 1 : at,
      ArrowUp: at - columns,
      ArrowDown: at + columns,
      Home: event.ctrlKey ? 0 : row * columns,
      End: event.ctrlKey ? buttons.length - 1 : (row + 1) * columns - 1,
    }[event.key];
    if (at < 0 || to === undefined || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (!buttons[to]) return;
    buttons[at].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  }

  /** The colours with numbers, and where random directions are. */
  function legend(quantity, scale, controls) {
    const bar = element("div", { class: "ramp" });
    withProperty(bar, "--ramp", scale.gradient);
    const known = [...new Set(controls.filter((value) => Number.isFinite(value)))];
    for (const control of quantity.scale === "share" ? known : []) {
      const mark = element("span", { class: "control", title: `random directions ${text.percent(control, 1)}` });
      bar.append(withProperty(mark, "--at", `${100 * Math.min(1, Math.max(0, scale.share(control)))}%`));
    }
    const ticks = element("div", { class: "ticks" }, ...scale.ticks.map(([, label]) => element("span", {}, label)));
    const notes = [];
    if (known.length && quantity.scale === "share") {
      const said = quantity.key === "beyond" ? "expected of random directions" : "random directions";
      notes.push(element("span", { class: "note" }, element("span", { class: "control-key", "aria-hidden": "true" }), `${said} ${known.map((value) => text.percent(value, 1)).join(", ")}`));
    }
    return element("div", { class: "legend" }, bar, ticks, ...notes);
  }

  return { cellsOf, largest, gridOf, mark, legend };
})();
