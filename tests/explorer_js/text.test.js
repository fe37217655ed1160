"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const { text } = openPage(["dom", "text"]).svdlens;
const plain = (shown) => Number(shown.replace("\u2212", "-"));

test("a number is shown with its significant digits", () => {
  for (const value of [0, 1, -1, 0.05, 123.456, 99999, 1e6, 1e-5, -2.5e-9, 1.7e300]) {
    assert.equal(plain(text.number(value, 3)), Number(value.toPrecision(3)));
  }
  assert.equal(text.number(0.05, 3), "0.0500");
  assert.equal(text.number(-1234, 2), "\u22121200");
});

test("what is no number is a dash, and what has no end says so", () => {
  for (const nothing of [null, undefined, NaN]) {
    assert.equal(text.number(nothing), "\u2013");
    assert.equal(text.percent(nothing), "\u2013");
  }
  assert.equal(text.number(-Infinity), "\u2212\u221e");
});

test("shares are percent with a sign where they are differences", () => {
  assert.equal(text.percent(0.123, 1), "12.3\u202f%");
  assert.equal(text.points(0.05), "+5 points");
  assert.equal(text.points(-0.052, 1), "\u22125.2 points");
  assert.equal(text.points(-0.0001, 1), "0.0 points");
  assert.equal(text.points(0.05, 0, false), "+5");
  assert.equal(text.points(NaN), "\u2013");
  assert.equal(text.pointsRange(-0.02, 0.05), "\u22122 to +5 points");
  assert.equal(text.range(0.1, 0.2), "10\u201320\u202f%");
});

test("of numbers in order the runs are said by their ends, and no number is said that is not there", () => {
  assert.equal(text.numbers([1]), "1");
  assert.equal(text.numbers([0, 1]), "0 to 1");
  assert.equal(text.numbers([0, 2]), "0 and 2");
  assert.equal(text.numbers([0, 1, 2, 5, 7, 8]), "0 to 2, 5 and 7 to 8");
});

test("one thing and several", () => {
  assert.equal(text.count(1, "list"), "1 list");
  assert.equal(text.count(1234, "list"), "1,234 lists");
});

test("all of a token can be seen, and no token looks like another", () => {
  const tokens = [
    "fire", " fire", "fire ", "", " ", "  ", "\t", "\n", "\u0000", "\u200b", "\u202egnp", "\u00a0", "\ufeff", "\u00ad", "\ud800", "\u0301",
    "<b>", "&amp;", "\u0645\u0631\u062d\u0628\u0627", "\ud83d\udd25", "\\xe2",
  ];
  const shown = tokens.map((token) => describe(text.token(token)));
  assert.equal(new Set(shown).size, tokens.length);
  for (const one of shown) assert.match(one, /[^\s\p{C}\u00a0]/u);
});

/** The text of an element with the classes of its parts. */
function describe(made) {
  return made.children.map((child) => (typeof child === "string" ? child : `[${child.className}:${child.textContent}]`)).join("");
}

test("a token that is shown without marks is its own text", () => {
  for (const token of ["fire", "<b>", "\u706b\u5c71", "a b", "x".repeat(120)]) {
    assert.equal(text.token(token).textContent, token);
  }
});

test("a name keeps its spaces and loses what cannot be seen", () => {
  assert.equal(text.name("about fire\u202e").textContent, "about fireU+202E");
});
