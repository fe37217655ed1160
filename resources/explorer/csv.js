// What is shown, as a file for spreadsheets.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {string | number | boolean | null | undefined} CsvValue */
/** @typedef {[name: string, header: string[], rows: CsvValue[][]]} CsvFile */

svdlens.csv = (function () {
  const { element, messageOf } = svdlens.dom;
  // Spreadsheets take what begins like this for a formula (OWASP, CSV injection), the wide forms of these signs as well.
  const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

  /**
   * A cell: numbers as they are, texts quoted where they must be, and with an apostrophe where they could be run.
   * @param {CsvValue} value
   */
  function cell(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    if (typeof value !== "string") return String(value);
    const text = FORMULA.test(value) ? `'${value}` : value;
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /**
   * @param {string[]} header
   * @param {CsvValue[][]} rows
   */
  function format(header, rows) {
    return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  /** @param {CsvFile} file */
  function download([name, header, rows]) {
    // The mark at the beginning tells spreadsheets that this is UTF-8.
    const url = URL.createObjectURL(new Blob(["\ufeff", format(header, rows)], { type: "text/csv;charset=utf-8" }));
    const link = element("a", { href: url, download: `${name.replace(/[^\p{L}\p{M}\p{N}_-]+/gu, "_")}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  /**
   * A button that downloads what `content` returns, at once or later; where that fails, it says so.
   * @param {() => CsvFile | Promise<CsvFile>} content
   */
  function button(content) {
    const problem = element("span", { class: "note", role: "alert" });
    const click = async () => {
      problem.textContent = "";
      try {
        download(await content());
      } catch (error) {
        problem.textContent = messageOf(error);
      }
    };
    return element("span", { class: "download" }, element("button", { type: "button", class: "quiet", onclick: click }, "Download CSV"), problem);
  }

  return { format, button };
})();
