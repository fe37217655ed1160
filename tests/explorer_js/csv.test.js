"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const { csv } = openPage(["dom", "csv"]).svdlens;

/** The cells of a CSV, read by the rules of RFC 4180. */
function cellsOf(file) {
  const rows = [[]];
  for (const [, quoted, bare, end] of file.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g)) {
    rows[rows.length - 1].push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === "\r\n") rows.push([]);
  }
  assert.deepEqual(rows.pop(), []);
  return rows;
}

test("cells come back as they were", () => {
  const texts = ["fire", " fire", "fire ", 'a"b', '"', "a,b", "a\nb", "a\r\nb", "", "'", "\u706b", "\u2028", "\u00a0x"];
  assert.deepEqual(cellsOf(csv.format(["one", "a,b"], texts.map((text) => [text, "next"]))), [["one", "a,b"], ...texts.map((text) => [text, "next"])]);
});

test("no text begins as a formula does", () => {
  const texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"];
  const rows = cellsOf(csv.format([], texts.map((text) => [text]))).slice(1);
  assert.deepEqual(rows, texts.map((text) => [`'${text}`]));
});

test("numbers stay numbers, and what is not there is empty", () => {
  assert.deepEqual(cellsOf(csv.format(["a", "b", "c", "d"], [[-1.5, null, undefined, NaN], [1e-7, 0, Infinity, false]])), [
    ["a", "b", "c", "d"],
    ["-1.5", "", "", ""],
    ["1e-7", "0", "Infinity", "false"],
  ]);
});

test("a download that fails says so, and can be tried again", async () => {
  const { csv: fresh } = openPage(["dom", "csv"]).svdlens;
  let failures = 0;
  const made = fresh.button(async () => {
    failures += 1;
    throw new Error(`The file data/${failures}.js is missing.`);
  });
  const [button, problem] = made.children;
  await button.onclick();
  assert.equal(problem.textContent, "The file data/1.js is missing.");
  await button.onclick();
  assert.equal(problem.textContent, "The file data/2.js is missing.");
});
