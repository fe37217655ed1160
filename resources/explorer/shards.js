// Shards: data in .js files, loaded by script elements when they are needed, because browsers refuse fetch() on file://.
// How they are written: scripts/svdlens/explorer_shards.py.
"use strict";
var svdlens = window.svdlens || {};

svdlens.shards = (function () {
  const FIRST_CHARACTER = 0x3400;
  const BITS = 15;
  const SMALLEST_EXPONENT = -60;
  const KEPT = 192 * 1024 * 1024; // bytes of decoded shards, beyond which those not used for longest are forgotten

  const arriving = new Map(); // name -> what to do with the header and payload
  const shards = new Map(); // name -> promise of a shard, those used last at the end
  const sizes = new Map(); // name -> bytes of a shard that has arrived

  /** Called by the files themselves. */
  function add(name, header, payload) {
    const arrived = arriving.get(name);
    if (arrived) arrived({ header, payload });
  }

  /** The shard with that name: {columns: {name: Int32Array, Float64Array or texts}, facts}. */
  function load(name) {
    const shard = shards.get(name) || request(name);
    shards.delete(name);
    shards.set(name, shard);
    return shard;
  }

  /** The shard out of its file; one that fails is not kept, so that the next who needs it asks again. */
  async function request(name) {
    try {
      const { header, payload } = await runFile(name);
      const shard = await decode(header, payload).catch((cause) => {
        throw damaged(name, cause.message);
      });
      sizes.set(name, shard.size);
      forget();
      return shard;
    } catch (error) {
      shards.delete(name);
      throw error;
    }
  }

  /** Header and payload that a file hands to `add`. */
  function runFile(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const finish = (error) => {
        arriving.delete(name);
        script.remove();
        reject(error);
      };
      arriving.set(name, resolve);
      // The file has run by now. If it called `add`, the promise is settled, and an error changes nothing any more.
      script.onload = () => finish(damaged(name, "it holds no shard of this name"));
      script.onerror = () => finish(new Error(`The file data/${name}.js is missing. Copy the whole directory, or build the explorer again.`));
      script.src = `data/${name.split("/").map(encodeURIComponent).join("/")}.js`;
      document.head.append(script);
    });
  }

  /** The error of a file that does not hold what it should, and why we think so. */
  function damaged(name, why) {
    return new Error(`The file data/${name}.js is damaged (${why}). Copy the whole directory again, or build the explorer again.`);
  }

  /** Forget shards until the others are no more than what is kept; those still on their way are left alone. */
  function forget() {
    let total = 0;
    for (const size of sizes.values()) total += size;
    for (const name of [...shards.keys()].filter((name) => sizes.has(name))) {
      if (total <= KEPT) return;
      total -= sizes.get(name);
      sizes.delete(name);
      shards.delete(name);
    }
  }

  async function decode(header, payload) {
    const raw = await inflate(bytesOf(payload, header.bytes));
    const columns = {};
    let place = 0;
    for (const entry of header.columns) {
      if (entry.text !== undefined) {
        columns[entry.name] = JSON.parse(new TextDecoder().decode(raw.subarray(place, place + entry.text)));
        place += entry.text;
        continue;
      }
      const integers = integersOf(raw, place, entry);
      place += entry.count * entry.bytes;
      columns[entry.name] = entry.digits === undefined ? integers : numbersOf(integers, entry);
    }
    return { columns, facts: header.facts, size: 4 * raw.length };
  }

  /** 15 bits from each character. */
  function bytesOf(payload, size) {
    const bytes = new Uint8Array(size);
    let waiting = 0;
    let bits = 0;
    let place = 0;
    for (let i = 0; i < payload.length; i++) {
      waiting = (waiting << BITS) | (payload.charCodeAt(i) - FIRST_CHARACTER);
      bits += BITS;
      while (bits >= 8 && place < size) {
        bits -= 8;
        bytes[place++] = (waiting >> bits) & 255;
      }
      waiting &= (1 << bits) - 1;
    }
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Integers from planes of bytes, the lowest first. */
  function integersOf(raw, start, entry) {
    const integers = new Int32Array(entry.count);
    for (let plane = 0; plane < entry.bytes; plane++) {
      const from = start + plane * entry.count;
      for (let i = 0; i < entry.count; i++) integers[i] |= raw[from + i] << (8 * plane);
    }
    if (entry.minimum) for (let i = 0; i < entry.count; i++) integers[i] += entry.minimum;
    return integers;
  }

  /** Numbers from their codes; the smallest code is none (NaN) where the column has any. */
  function numbersOf(codes, entry) {
    const numbers = new Float64Array(codes.length);
    for (let i = 0; i < codes.length; i++) {
      numbers[i] = entry.none && codes[i] === entry.minimum ? NaN : numberOf(codes[i], entry.digits);
    }
    return numbers;
  }

  /** The number of `digits` significant digits that has this code. */
  function numberOf(code, digits) {
    if (code === 0) return 0;
    const smallest = 10 ** (digits - 1);
    const place = Math.abs(code) - 1;
    const mantissa = (place % (9 * smallest)) + smallest;
    const shift = Math.floor(place / (9 * smallest)) + SMALLEST_EXPONENT - digits + 1;
    const number = shift < 0 ? mantissa / 10 ** -shift : mantissa * 10 ** shift;
    return code < 0 ? -number : number;
  }

  return { add, load, damaged, numberOf };
})();
