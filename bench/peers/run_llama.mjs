// Times llama.cpp through node-llama-cpp, from the working folder's node_modules; prints one JSON object.
//   node run_llama.mjs MODEL.gguf VOCABULARY PROMPTS DECODE REPEAT THREADS
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { measure } from './measure.mjs';

const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(process.cwd(), 'node_modules/node-llama-cpp/dist/index.js')));
const [path, ...rest] = process.argv.slice(2);
const [vocabulary, prompts, decode, repeat, threads] = [Number(rest[0]), rest[1].split(',').map(Number), ...rest.slice(2).map(Number)];

const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const longest = Math.max(...prompts);
const context = await model.createContext({
  contextSize: longest + decode + 8, batchSize: longest, sequences: 1, threads: { ideal: threads, min: threads },
});
const sequence = context.getSequence();

/** Tokens that went through the model so far; those whose logits were asked for count as output there. */
const computed = () => sequence.tokenMeter.usedInputTokens + sequence.tokenMeter.usedOutputTokens;

/** One prompt from nothing, `steps` tokens; calls `first` when the first is there. */
async function generate(prompt, steps, first) {
  await sequence.clearHistory();
  const before = computed();
  let made = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (++made === 1) first();
    if (made === steps) break;
  }
  if (made < steps) throw new Error(`llama.cpp stopped after ${made} of ${steps} tokens`);
  const [read, due] = [computed() - before, prompt.length + steps - 1];
  if (read < due) throw new Error(`llama.cpp computed ${read} of ${due} tokens: a cache answered`);
}

console.log(JSON.stringify(await measure(generate, { vocabulary, prompts, decode, repeat })));
process.exit(0);
