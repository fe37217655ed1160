// Shards: data in .js files, loaded by script elements when they are needed, because browsers refuse fetch() on file://.
// How they are written: scripts/svdlens/explorer_shards.py.
"use strict";
var svdlens = window.svdlens || {};

/**
 * What a file holds: columns by name, and facts about them.
 * @template Columns
 * @template Facts
 * @typedef {object} Shard
 * @property {Columns} columns Int32Array, Float64Array or string[] each
 * @property {Facts} facts
 * @property {number} size bytes in memory, about
 */
/** @typedef {{name: string, text: number}} TextColumn Texts as JSON, in so many bytes. */
/** @typedef {{name: string, count: number, bytes: number, minimum: number}} IntegerColumn So many integers, in so many planes. */
/** @typedef {IntegerColumn & {digits: number, none: boolean}} NumberColumn Codes of numbers; `none`: whether some are NaN. */
/** @typedef {{columns: (TextColumn | IntegerColumn | NumberColumn)[], facts: any, bytes: number}} ShardHeader */
/** @typedef {{header: ShardHeader, payload: string}} ShardFile */

svdlens.shards = (function () {
  const FIRST_CHARACTER = 0x3400;
  const BITS = 15;
  const SMALLEST_EXPONENT = -100;
  const MOST_BYTES = 192 * 1024 * 1024; // of decoded shards, beyond which those not used for longest are forgotten

  /** @type {Map<string, (file: ShardFile) => void>} Who waits for the file of that name. */
  const waiting = new Map();
  /** @type {Map<string, Promise<any>>} Shards by name, those used last at the end. */
  const shards = new Map();
  /** @type {Map<string, number>} Bytes of the shards that have arrived. */
  const sizes = new Map();

  /**
   * Called by the files themselves.
   * @param {string} name
   * @param {ShardHeader} header
   * @param {string} payload
   */
  function add(name, header, payload) {
    const arrived = waiting.get(name);
    if (arrived) arrived({ header, payload });
  }

  /**
   * The shard with that name.
   * @template {Shard<any, any>} Kind
   * @param {string} name
   * @returns {Promise<Kind>}
   */
  function load(name) {
    const shard = shards.get(name) || request(name);
    shards.delete(name);
    shards.set(name, shard);
    return shard;
  }

  /**
   * The shard out of its file; one that fails is not kept, so that the next who needs it asks again.
   * @param {string} name
   * @returns {Promise<Shard<any, any>>}
   */
  async function request(name) {
    try {
      const shard = await decode(name, await runFile(name));
      sizes.set(name, shard.size);
      forget();
      return shard;
    } catch (error) {
      shards.delete(name);
      throw error;
    }
  }

  /**
   * What a file hands to `add`.
   * @param {string} name
   * @returns {Promise<ShardFile>}
   */
  function runFile(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      /** @param {Error} error */
      const finish = (error) => {
        waiting.delete(name);
        script.remove();
        reject(error);
      };
      waiting.set(name, resolve);
      // The file has run by now. If it called `add`, the promise is settled, and an error changes nothing any more.
      script.onload = () => finish(damaged(name, "it holds no shard of this name"));
      script.onerror = () => finish(new Error(`The file data/${name}.js is missing. Copy the whole directory, or build the explorer again.`));
      script.src = `data/${name.split("/").map(encodeURIComponent).join("/")}.js`;
      document.head.append(script);
    });
  }

  /**
   * The error of a file that does not hold what it should.
   * @param {string} name
   * @param {string} reason
   */
  function damaged(name, reason) {
    return new Error(`The file data/${name}.js is damaged (${reason}). Copy the whole directory again, or build the explorer again.`);
  }

  /** Forget shards until the others are no more than what is kept; those still on their way are left alone. */
  function forget() {
    let total = 0;
    for (const size of sizes.values()) total += size;
    for (const name of [...shards.keys()]) {
      if (total <= MOST_BYTES) return;
      const size = sizes.get(name);
      if (size === undefined) continue;
      total -= size;
      sizes.delete(name);
      shards.delete(name);
    }
  }

  /**
   * @param {string} name
   * @param {ShardFile} file
   * @returns {Promise<Shard<any, any>>}
   */
  async function decode(name, { header, payload }) {
    try {
      const raw = await inflate(bytesOf(payload, header.bytes));
      return { columns: columnsOf(raw, header), facts: header.facts, size: 4 * raw.length };
    } catch (error) {
      throw damaged(name, svdlens.dom.messageOf(error));
    }
  }

  /**
   * @param {Uint8Array} raw
   * @param {ShardHeader} header
   */
  function columnsOf(raw, header) {
    /** @type {Record<string, string[] | Int32Array | Float64Array>} */
    const columns = {};
    let start = 0;
    for (const entry of header.columns) {
      if ("text" in entry) {
        columns[entry.name] = JSON.parse(new TextDecoder().decode(raw.subarray(start, start + entry.text)));
        start += entry.text;
        continue;
      }
      const integers = integersOf(raw, start, entry);
      start += entry.count * entry.bytes;
      columns[entry.name] = "digits" in entry ? numbersOf(integers, entry) : integers;
    }
    return columns;
  }

  /**
   * 15 bits from each character.
   * @param {string} payload
   * @param {number} size
   */
  function bytesOf(payload, size) {
    const bytes = new Uint8Array(size);
    let rest = 0;
    let bits = 0; // of the rest
    let place = 0;
    for (let i = 0; i < payload.length; i++) {
      rest = (rest << BITS) | (payload.charCodeAt(i) - FIRST_CHARACTER);
      bits += BITS;
      while (bits >= 8 && place < size) {
        bits -= 8;
        bytes[place++] = (rest >> bits) & 255;
      }
      rest &= (1 << bits) - 1;
    }
    return bytes;
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /**
   * Integers from planes of bytes, the lowest first.
   * @param {Uint8Array} raw
   * @param {number} start
   * @param {IntegerColumn} entry
   */
  function integersOf(raw, start, entry) {
    const integers = new Int32Array(entry.count);
    for (let plane = 0; plane < entry.bytes; plane++) {
      const from = start + plane * entry.count;
      for (let i = 0; i < entry.count; i++) integers[i] |= raw[from + i] << (8 * plane);
    }
    if (entry.minimum) for (let i = 0; i < entry.count; i++) integers[i] += entry.minimum;
    return integers;
  }

  /**
   * Numbers from their codes; the smallest code is none (NaN) where the column has any.
   * @param {Int32Array} codes
   * @param {NumberColumn} entry
   */
  function numbersOf(codes, entry) {
    const numbers = new Float64Array(codes.length);
    for (let i = 0; i < codes.length; i++) {
      numbers[i] = entry.none && codes[i] === entry.minimum ? NaN : numberOf(codes[i], entry.digits);
    }
    return numbers;
  }

  /**
   * The number of so many significant digits that has this code.
   * @param {number} code
   * @param {number} digits
   * @returns {number}
   */
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
