// What is shown, as a file for spreadsheets.
"use strict";
var svdlens = window.svdlens || {};

svdlens.csv = (function () {
  // Spreadsheets take what begins like this for a formula (OWASP, CSV injection), the wide forms of these signs as well.
  const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

  /** A cell: numbers as they are, texts quoted where they must be, and with an apostrophe where they could be run. */
  function cell(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    if (typeof value === "number") return String(value);
    const text = FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(header, rows) {
    return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function download(name, header, rows) {
    // The mark at the beginning tells spreadsheets that this is UTF-8.
    const url = URL.createObjectURL(new Blob(["\ufeff", csv(header, rows)], { type: "text/csv;charset=utf-8" }));
    const link = svdlens.dom.element("a", { href: url, download: `${name.replace(/[^\w-]+/g, "_")}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  /** A button that downloads what `content` returns, at once or later: [name, header, rows]. */
  function button(content) {
    const click = async () => download(...(await content()));
    return svdlens.dom.element("button", { type: "button", class: "quiet", onclick: click }, "Download CSV");
  }

  return { csv, button };
})();
