/**
 * Columns as `columns.py` writes them: planes of bytes, deflated; numbers or differences with the sign lowest.
 */

/** @typedef {{at: number, size: number, n?: number, planes?: number[], differences?: boolean, raw?: number}} Part */
/** @typedef {{lo: Uint32Array, hi: Uint32Array | null}} Words Whole numbers of 64 bits; without `hi`, of 32. */

const MAGIC = "hydview1";

/** A container: its header, and its parts, which are unpacked when they are asked for. */
export class Container {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const magic = new TextDecoder().decode(bytes.subarray(0, MAGIC.length));
    if (magic !== MAGIC) {
      throw new Error(`This is no timeline that this page can read: it begins with ${JSON.stringify(magic)}.`);
    }
    const begin = MAGIC.length + 4;
    try {
      const size = new DataView(bytes.buffer, bytes.byteOffset + MAGIC.length, 4).getUint32(0, true);
      /** @type {Record<string, any>} */
      this.header = JSON.parse(new TextDecoder().decode(bytes.subarray(begin, begin + size)));
      this.body = bytes.subarray(begin + size);
    } catch (error) {
      throw damaged(`its header cannot be read (${/** @type {Error} */ (error).message})`);
    }
    /** @type {Record<string, Part>} */
    this.parts = this.header.parts;
  }

  /** @param {string} name */
  has(name) {
    return name in this.parts;
  }

  /** @param {string} name @returns {Promise<Uint8Array>} */
  async bytes(name) {
    const { at, size, raw } = this.parts[name];
    return inflate(this.body.subarray(at, at + size), /** @type {number} */ (raw));
  }

  /** @param {string} name @returns {Promise<any>} */
  async json(name) {
    return JSON.parse(new TextDecoder().decode(await this.bytes(name)));
  }

  /** @param {string} name @returns {Promise<Words>} */
  async words(name) {
    const part = this.parts[name];
    const n = /** @type {number} */ (part.n);
    let at = part.at;
    const packed = /** @type {number[]} */ (part.planes).map((size) => this.body.subarray(at, (at += size)));
    const planes = await Promise.all(packed.map((each) => inflate(each, n)));
    return joined(planes, n, /** @type {boolean} */ (part.differences));
  }

  /** Return numbers below 2**32 (or, with `signed`, within 2**31 of 0). @param {string} name */
  async ints(name, signed = false) {
    const { lo } = await this.words(name);
    return signed ? new Int32Array(lo.buffer) : lo;
  }

  /** Return numbers within 2**53 of 0. @param {string} name @returns {Promise<Float64Array>} */
  async floats(name) {
    return toFloats(await this.words(name));
  }
}

/**
 * Put planes together.
 * @param {Uint8Array[]} planes
 * @param {number} n
 * @param {boolean} differences
 * @returns {Words}
 */
export function joined(planes, n, differences) {
  const lo = gathered(planes.slice(0, 4), n);
  const hi = planes.length > 4 || differences ? gathered(planes.slice(4), n) : null;
  if (!differences || hi === null) {
    return { lo, hi };
  }
  let sumLo = 0;
  let sumHi = 0;
  for (let i = 0; i < n; i++) {
    const sign = -(lo[i] & 1);
    const stepLo = (((lo[i] >>> 1) | (hi[i] << 31)) ^ sign) >>> 0;
    const stepHi = ((hi[i] >>> 1) ^ sign) >>> 0;
    const low = sumLo + stepLo;
    sumHi = (sumHi + stepHi + (low > 0xffffffff ? 1 : 0)) >>> 0;
    sumLo = low >>> 0;
    lo[i] = sumLo;
    hi[i] = sumHi;
  }
  return { lo, hi };
}

/** @param {Words} words @returns {Float64Array} */
export function toFloats({ lo, hi }) {
  const out = new Float64Array(lo.length);
  for (let i = 0; i < lo.length; i++) {
    out[i] = hi ? (hi[i] | 0) * 4294967296 + lo[i] : lo[i];
  }
  return out;
}

/** @param {Uint8Array[]} planes @param {number} n */
function gathered(planes, n) {
  const out = new Uint32Array(n);
  planes.forEach((plane, k) => {
    const shift = 8 * k;
    for (let i = 0; i < n; i++) {
      out[i] |= plane[i] << shift;
    }
  });
  return out;
}

/** @param {Uint8Array} packed @param {number} size @returns {Promise<Uint8Array>} */
async function inflate(packed, size) {
  const stream = new Blob([/** @type {BlobPart} */ (packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
  let out;
  try {
    out = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw damaged("a part cannot be unpacked");
  }
  if (out.length !== size) throw damaged(`a part has ${out.length} bytes in place of ${size}`);
  return out;
}

/** @param {string} how */
function damaged(how) {
  return new Error(`The timeline is damaged: ${how}. Write the page anew.`);
}
