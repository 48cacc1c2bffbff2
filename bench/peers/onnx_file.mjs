// The parts that a model file of ONNX is written from. Source: onnx.proto, whose field numbers these are.

// Protocol buffers: a field is its number and wire type, then a number, four bytes, or a length and bytes.
function varint(value) {
  const bytes = [];
  for (let left = BigInt.asUintN(64, BigInt(value)); ; left >>= 7n) {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    if (left <= 127n) return Buffer.from(bytes);
  }
}
export const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
export const bytes = (field, value) => {
  const body = Array.isArray(value) ? Buffer.concat(value) : Buffer.from(value);
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
};
const float = (field, value) => {
  const body = Buffer.alloc(4);
  body.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), body]);
};

export const FLOAT = 1, INT32 = 6, INT64 = 7;

/** A whole number, a list of them, or (`type` 'float') a number. */
export function attribute(name, value, type) {
  if (Array.isArray(value)) return bytes(5, [bytes(1, name), ...value.map((one) => number(8, one)), number(20, 7)]);
  return bytes(5, [bytes(1, name), type === 'float' ? float(2, value) : number(3, value), number(20, type === 'float' ? 1 : 2)]);
}

/** A string extent is a symbol. */
export function valueInfo(field, name, type, extents) {
  const dims = extents.map((extent) => bytes(1, typeof extent === 'string' ? bytes(2, extent) : number(1, extent)));
  return bytes(field, [bytes(1, name), bytes(2, bytes(1, [number(1, type), bytes(2, dims)]))]);
}
