// The geometries that peers are given: those of src/import/geometry.cpp.
import { closeSync, openSync, writeSync } from 'node:fs';

const columns = ['hidden', 'layers', 'heads', 'headDim', 'kvHeads', 'feedForward', 'vocabulary', 'ropeTheta', 'tied', 'positions'];
const rows = {
  'llama-0.5b': [1024, 24, 16, 64, 16, 2816, 32000, 1e4, false, 4096],
  'llama-1b': [2048, 16, 32, 64, 8, 8192, 128256, 5e5, true, 4096],
  'classics-16m': [384, 8, 6, 64, 2, 1024, 8192, 1e4, true, 2048],
};

export function geometryOf(name) {
  const row = rows[name];
  if (!row) throw new Error(`--geometry ${name}: not known to the peers; one of ${Object.keys(rows).join(', ')}`);
  return Object.fromEntries(columns.map((column, i) => [column, row[i]]));
}

/** The same numbers in [0, 1) every time (xorshift32). */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A file that is written from front to back. */
export class Output {
  constructor(path) {
    this.file = openSync(path, 'w');
    this.size = 0;
  }

  write(bytes) {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.file, bytes, done);
    this.size += bytes.length;
  }

  /** Zeros up to a multiple of `alignment`. */
  align(alignment) {
    this.write(Buffer.alloc((alignment - (this.size % alignment)) % alignment));
  }

  /** `length` bytes, `block` over and over: speed does not depend on what random weights say. */
  fill(block, length) {
    for (let left = length; left > 0; left -= block.length) this.write(block.subarray(0, Math.min(left, block.length)));
  }

  close() {
    closeSync(this.file);
  }
}
