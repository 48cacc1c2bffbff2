// Times ONNX Runtime's CPU provider through onnxruntime-node, from the working folder's node_modules; prints one JSON object.
//   node run_onnxruntime.mjs MODEL.onnx GEOMETRY PROMPTS DECODE REPEAT THREADS
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { geometryOf } from './geometries.mjs';
import { measure } from './measure.mjs';

const { InferenceSession, Tensor } = createRequire(join(process.cwd(), 'package.json'))('onnxruntime-node');
const [path, geometryName, ...rest] = process.argv.slice(2);
const [prompts, decode, repeat, threads] = [rest[0].split(',').map(Number), ...rest.slice(1).map(Number)];
const geometry = geometryOf(geometryName);
const session = await InferenceSession.create(path, {
  executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
});

/** One prompt from nothing, `steps` tokens; calls `first` when the first is there. */
async function generate(prompt, steps, first) {
  let ids = prompt, total = 0, kept = {};
  for (let i = 0; i < geometry.layers; ++i) {
    for (const part of ['key', 'value']) {
      kept[`${part}.${i}`] = new Tensor('float32', new Float32Array(0), [1, geometry.kvHeads, 0, geometry.headDim]);
    }
  }
  for (let made = 0; made < steps; ++made) {
    total += ids.length;
    const feeds = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
      seqlens_k: new Tensor('int32', Int32Array.of(total - 1), [1]),
      total_sequence_length: new Tensor('int32', Int32Array.of(total), []),
    };
    for (const [name, tensor] of Object.entries(kept)) feeds[`past_${name}`] = tensor;
    const results = await session.run(feeds);
    for (const name of Object.keys(kept)) kept[name] = results[`present_${name}`];
    if (kept['key.0'].dims[2] !== total) throw new Error(`ONNX Runtime kept ${kept['key.0'].dims[2]} of ${total} tokens`);
    ids = [Number(results.next.data[0])];
    if (made === 0) first();
  }
}

console.log(JSON.stringify(await measure(generate, { vocabulary: geometry.vocabulary, prompts, decode, repeat })));
