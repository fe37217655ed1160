// Sources of shards, as scripts/svdlens/explorer_shards.py writes them: planes of bytes, deflated, 15 bits a character.
"use strict";

const zlib = require("node:zlib");

const FIRST_CHARACTER = 0x3400;
const SMALLEST_EXPONENT = -100;

/** The code of a number that has `digits` significant digits or fewer. */
function codeOf(number, digits) {
  if (number === 0) return 0;
  const [mantissa, exponent] = Math.abs(number).toExponential(digits - 1).split("e");
  const smallest = 10 ** (digits - 1);
  const place = Number(mantissa.replace(".", "")) - smallest;
  return Math.sign(number) * (1 + (Number(exponent) - SMALLEST_EXPONENT) * 9 * smallest + place);
}

function planesOf(values) {
  const minimum = values.length ? Math.min(...values) : 0;
  const rest = values.map((value) => value - minimum);
  const width = values.length ? Math.ceil(Math.log2(Math.max(...rest) + 1) / 8) : 0;
  const planes = Array.from({ length: width }, (_, plane) => rest.map((value) => Math.floor(value / 256 ** plane) % 256));
  return [{ count: values.length, bytes: width, minimum }, Buffer.from(planes.flat())];
}

function columnOf(name, values, digits) {
  if (values.some((value) => typeof value === "string")) {
    const raw = Buffer.from(JSON.stringify(values));
    return [{ name, text: raw.length }, raw];
  }
  if (digits === undefined) {
    const [entry, raw] = planesOf(values);
    return [{ name, ...entry }, raw];
  }
  const codes = values.map((value) => (Number.isNaN(value) ? null : codeOf(value, digits)));
  const none = Math.min(0, ...codes.filter((code) => code !== null)) - 1;
  const [entry, raw] = planesOf(codes.map((code) => (code === null ? none : code)));
  return [{ name, ...entry, digits, none: codes.includes(null) }, raw];
}

function charactersOf(raw) {
  let bits = "";
  for (const byte of raw) bits += byte.toString(2).padStart(8, "0");
  const groups = bits.match(/.{1,15}/g) || [];
  return groups.map((group) => String.fromCharCode(FIRST_CHARACTER + parseInt(group.padEnd(15, "0"), 2))).join("");
}

/** The source of a shard with these columns: {name: texts, integers, or [numbers, digits]}. */
function shardSource(name, columns, facts = {}) {
  const pieces = Object.entries(columns).map(([column, values]) =>
    Array.isArray(values[0]) ? columnOf(column, ...values) : columnOf(column, values)
  );
  return packedSource(name, pieces.map(([entry]) => entry), facts, Buffer.concat(pieces.map(([, raw]) => raw)));
}

/** The source of a shard with these entries of columns and the bytes that they tell apart. */
function packedSource(name, entries, facts, raw) {
  const packed = zlib.deflateSync(raw);
  const header = { columns: entries, facts, bytes: packed.length };
  return `svdlens.shards.add(${JSON.stringify(name)},${JSON.stringify(header)},"${charactersOf(packed)}");`;
}

module.exports = { shardSource, packedSource, codeOf };
