// Writes a random Llama as llama.cpp reads it. Source: the GGUF specification, version 3 (ggml's docs/gguf.md).
//   node write_gguf.mjs GEOMETRY BF16|Q8_0|Q4_0 OUTPUT
import { geometryOf, Output, randomNumbers } from './geometries.mjs';

const alignment = 32;
const TYPE = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };
// Code, values and bytes of a block, and what `llama_ftype` calls a file of it.
const FORMATS = {
  F32: { code: 0, values: 1, bytes: 4 },
  BF16: { code: 30, values: 1, bytes: 2, fileType: 32 },
  Q8_0: { code: 8, values: 32, bytes: 34, fileType: 7 },
  Q4_0: { code: 2, values: 32, bytes: 18, fileType: 2 },
};

const u32 = (value) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b; };
const i32 = (value) => { const b = Buffer.alloc(4); b.writeInt32LE(value); return b; };
const u64 = (value) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b; };
const f32 = (value) => { const b = Buffer.alloc(4); b.writeFloatLE(value); return b; };
const string = (text) => { const b = Buffer.from(text); return Buffer.concat([u64(b.length), b]); };
const encode = { u32, i32, f32, string };
const pair = (key, type, value) => Buffer.concat([string(key), u32(TYPE[type]), encode[type](value)]);
const list = (key, type, values) =>
  Buffer.concat([string(key), u32(TYPE.array), u32(TYPE[type]), u64(values.length), ...values.map(encode[type])]);

/** Whole blocks of random weights around zero, about 1 MiB. */
function randomBlock(format) {
  const random = randomNumbers(1);
  const { values, bytes } = FORMATS[format];
  const block = Buffer.alloc(Math.floor(2 ** 20 / bytes) * bytes);
  for (let i = 0; i < block.length; i += bytes) {
    if (values === 1) {
      block.writeUInt16LE(f32((random() - 0.5) / 16).readUInt16LE(2), i);
    } else {
      block.writeUInt16LE(format === 'Q4_0' ? 0x1c00 : 0x1000, i);  // the block's scale, f16
      for (let k = 2; k < bytes; ++k) block[i + k] = random() * 256;
    }
  }
  return block;
}

export function writeGguf(name, format, path) {
  const g = geometryOf(name);
  const kv = g.kvHeads * g.headDim;
  // Name, extents (the innermost first), format.
  const tensors = [['token_embd.weight', [g.hidden, g.vocabulary], format]];
  for (let i = 0; i < g.layers; ++i) {
    const add = (part, extents, type = format) => tensors.push([`blk.${i}.${part}.weight`, extents, type]);
    add('attn_norm', [g.hidden], 'F32');
    add('attn_q', [g.hidden, g.heads * g.headDim]);
    add('attn_k', [g.hidden, kv]);
    add('attn_v', [g.hidden, kv]);
    add('attn_output', [g.heads * g.headDim, g.hidden]);
    add('ffn_norm', [g.hidden], 'F32');
    add('ffn_gate', [g.hidden, g.feedForward]);
    add('ffn_up', [g.hidden, g.feedForward]);
    add('ffn_down', [g.feedForward, g.hidden]);
  }
  tensors.push(['output_norm.weight', [g.hidden], 'F32']);
  if (!g.tied) tensors.push(['output.weight', [g.hidden, g.vocabulary], format]);

  // A vocabulary that nobody reads: three marks, the bytes, and names.
  const tokens = ['<unk>', '<s>', '</s>'];
  for (let i = 0; i < 256; ++i) tokens.push(`<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  while (tokens.length < g.vocabulary) tokens.push(`▁t${tokens.length}`);
  const kind = (i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);  // unknown, control, byte, normal
  const pairs = [
    pair('general.architecture', 'string', 'llama'),
    pair('general.file_type', 'u32', FORMATS[format].fileType),
    pair('general.alignment', 'u32', alignment),
    pair('llama.context_length', 'u32', g.positions),
    pair('llama.embedding_length', 'u32', g.hidden),
    pair('llama.block_count', 'u32', g.layers),
    pair('llama.feed_forward_length', 'u32', g.feedForward),
    pair('llama.attention.head_count', 'u32', g.heads),
    pair('llama.attention.head_count_kv', 'u32', g.kvHeads),
    pair('llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5),
    pair('llama.rope.dimension_count', 'u32', g.headDim),
    pair('llama.rope.freq_base', 'f32', g.ropeTheta),
    pair('llama.vocab_size', 'u32', g.vocabulary),
    pair('tokenizer.ggml.model', 'string', 'llama'),
    list('tokenizer.ggml.tokens', 'string', tokens),
    list('tokenizer.ggml.scores', 'f32', tokens.map((_, i) => -i)),
    list('tokenizer.ggml.token_type', 'i32', tokens.map((_, i) => kind(i))),
    pair('tokenizer.ggml.bos_token_id', 'u32', 1),
    pair('tokenizer.ggml.eos_token_id', 'u32', 2),
  ];

  const output = new Output(path);
  output.write(Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(pairs.length), ...pairs]));
  const bytesOf = (extents, type) => (extents.reduce((a, b) => a * b, 1) / FORMATS[type].values) * FORMATS[type].bytes;
  let offset = 0;
  for (const [tensor, extents, type] of tensors) {
    output.write(Buffer.concat([string(tensor), u32(extents.length), ...extents.map(u64), u32(FORMATS[type].code), u64(offset)]));
    offset += Math.ceil(bytesOf(extents, type) / alignment) * alignment;
  }
  const weights = randomBlock(format);
  const ones = Buffer.from(new Float32Array(g.hidden).fill(1).buffer);
  for (const [, extents, type] of tensors) {
    output.align(alignment);
    output.fill(type === 'F32' ? ones : weights, bytesOf(extents, type));
  }
  output.align(alignment);
  output.close();
}

writeGguf(...process.argv.slice(2));
