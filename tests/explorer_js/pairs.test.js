"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

globalThis.IntersectionObserver = class {}; // lists.js makes one as it is loaded
const { pairs, lists } = openPage(["dom", "text", "state", "lists", "pairs"]).svdlens;

const list = (index, side, sign, label = null) => ({ index, side, sign, tokens: [], label });
const key = (one) => one && `${one.index} ${one.side} ${one.sign}`;

test("every list of both sides is in one pair, with its like where there is one", () => {
  const first = [list(0, "read", 1), list(0, "read", -1), list(1, "read", 1)];
  const second = [list(2, "write", 1), list(0, "read", -1), list(1, "write", 1)];
  assert.deepEqual(pairs.matched(first, second).map((pair) => pair.map(key)), [
    ["0 read 1", null],
    ["0 read -1", "0 read -1"],
    ["1 read 1", null],
    [null, "2 write 1"],
    [null, "1 write 1"],
  ]);
  assert.deepEqual(pairs.matched([], []), []);
});

test("lists of a direction are together, in the order of the directions", () => {
  const found = lists.byDirection([list(0, "read", 1), list(1, "read", 1), list(0, "write", 1)]);
  assert.deepEqual(found.map(([index, own]) => [index, own.map(key)]), [[0, ["0 read 1", "0 write 1"]], [1, ["1 read 1"]]]);
});

test("tokens are marked as evidence by the bits of the label", () => {
  const label = { evidence: 0b101 };
  const classOf = lists.marks(list(0, "read", 1, label), (token) => token === "b");
  assert.deepEqual(["a", "b", "c"].map(classOf), ["evidence", "searched", "evidence"]);
});
