// Writes a random Llama as an ONNX graph with past, in f32, in the operators that ONNX Runtime's own decoders are made of.
// Source: onnx.proto (field numbers) and ONNX Runtime's docs/ContribOperators.md.
//   node write_onnx.mjs GEOMETRY OUTPUT    writes OUTPUT and OUTPUT.data
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { geometryOf, Output, randomNumbers } from './geometries.mjs';
import { attribute, bytes, FLOAT, INT32, INT64, number, valueInfo } from './onnx_file.mjs';

function writeOnnx(name, path) {
  const g = geometryOf(name);
  const data = new Output(`${path}.data`);
  const random = randomNumbers(1);
  const weights = Buffer.from(Float32Array.from({ length: 2 ** 18 }, () => (random() - 0.5) / 16).buffer);
  const graph = [bytes(2, name)];

  const node = (op, inputs, outputs, { domain = '', integers = {}, floats = {} } = {}) => {
    graph.push(bytes(1, [
      ...inputs.map((input) => bytes(1, input)), ...outputs.map((output) => bytes(2, output)), bytes(3, outputs[0]), bytes(4, op),
      ...Object.entries(integers).map(([key, value]) => attribute(key, value)),
      ...Object.entries(floats).map(([key, value]) => attribute(key, value, 'float')), bytes(7, domain)]));
    return outputs[0];
  };
  const tensor = (tensorName, extents, block) => {
    data.align(4096);
    const length = 4 * extents.reduce((a, b) => a * b, 1);
    const external = { location: basename(`${path}.data`), offset: data.size, length };
    data.fill(block, length);
    graph.push(bytes(5, [
      ...extents.map((extent) => number(1, extent)), number(2, FLOAT), bytes(8, tensorName),
      ...Object.entries(external).map(([key, value]) => bytes(13, [bytes(1, key), bytes(2, String(value))])), number(14, 1)]));
    return tensorName;
  };
  const ones = Buffer.from(new Float32Array(g.hidden).fill(1).buffer);
  const norm = (input, output) =>
    node('SimplifiedLayerNormalization', [input, tensor(`${output}.weight`, [g.hidden], ones)], [output],
      { integers: { axis: -1, stash_type: 1 }, floats: { epsilon: 1e-5 } });
  const product = (input, output, inner, outer) =>
    node('MatMul', [input, tensor(`${output}.weight`, [inner, outer], weights)], [output]);
  const angles = (of) => Buffer.from(Float32Array.from({ length: g.positions * g.headDim / 2 }, (_, i) => {
    const half = g.headDim / 2;
    return of(Math.floor(i / half) * g.ropeTheta ** (-(i % half) / half));
  }).buffer);

  graph.push(valueInfo(11, 'input_ids', INT64, [1, 'tokens']));
  graph.push(valueInfo(11, 'seqlens_k', INT32, [1]));
  graph.push(valueInfo(11, 'total_sequence_length', INT32, []));
  graph.push(valueInfo(12, 'next', INT64, [1, 1]));
  const kept = (field, part, i, length) => valueInfo(field, `${part}.${i}`, FLOAT, [1, g.kvHeads, length, g.headDim]);
  for (let i = 0; i < g.layers; ++i) {
    graph.push(kept(11, 'past_key', i, 'past'), kept(11, 'past_value', i, 'past'));
    graph.push(kept(12, 'present_key', i, 'total'), kept(12, 'present_value', i, 'total'));
  }
  const cos = tensor('cos', [g.positions, g.headDim / 2], angles(Math.cos));
  const sin = tensor('sin', [g.positions, g.headDim / 2], angles(Math.sin));
  graph.push(bytes(5, [number(1, 1), number(2, INT64), bytes(8, 'last'), bytes(9, Buffer.alloc(8, 255))]));  // -1

  let stream = node('Gather', [tensor('embedding', [g.vocabulary, g.hidden], weights), 'input_ids'], ['embedded']);
  for (let i = 0; i < g.layers; ++i) {
    const at = (part) => `layers.${i}.${part}`;
    const packed = product(norm(stream, at('attention_norm')), at('qkv'), g.hidden, (g.heads + 2 * g.kvHeads) * g.headDim);
    const attention = node('GroupQueryAttention',
      [packed, '', '', `past_key.${i}`, `past_value.${i}`, 'seqlens_k', 'total_sequence_length', cos, sin],
      [at('attention'), `present_key.${i}`, `present_value.${i}`],
      { domain: 'com.microsoft', integers: { num_heads: g.heads, kv_num_heads: g.kvHeads, do_rotary: 1 } });
    stream = node('Add', [stream, product(attention, at('o'), g.heads * g.headDim, g.hidden)], [at('after_attention')]);
    const normed = norm(stream, at('mlp_norm'));
    const gate = product(normed, at('gate'), g.hidden, g.feedForward);
    const up = product(normed, at('up'), g.hidden, g.feedForward);
    const silu = node('Mul', [gate, node('Sigmoid', [gate], [at('sigmoid')])], [at('silu')]);
    const gated = node('Mul', [silu, up], [at('gated')]);
    stream = node('Add', [stream, product(gated, at('down'), g.feedForward, g.hidden)], [at('after_mlp')]);
  }
  const final = norm(node('Gather', [stream, 'last'], ['last_row'], { integers: { axis: 1 } }), 'final_norm');
  node('ArgMax', [product(final, 'logits', g.hidden, g.vocabulary)], ['next'], { integers: { axis: -1, keepdims: 0 } });
  data.close();

  const opset = (domain, version) => bytes(8, [bytes(1, domain), number(2, version)]);
  writeFileSync(path, Buffer.concat([number(1, 8), bytes(2, 'incipit'), bytes(7, graph), opset('', 17), opset('com.microsoft', 1)]));
}

writeOnnx(...process.argv.slice(2));
