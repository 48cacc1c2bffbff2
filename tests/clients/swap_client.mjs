// The official openai client streams without a pause while versions of the model swap and roll back:
// node swap_client.mjs BASE_URL FOLDER_OF_NODE_MODULES KEY INCIPIT STORE SWAPS
// STORE has the versions 1 (live) and 2 of the model "chat", built with --deterministic. No request may fail, end early or
// get tokens of two versions. Ends with a line that counts; exit status 1 and the reason where something is wrong.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {createRequire} from 'node:module';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {pathToFileURL} from 'node:url';
import {promisify} from 'node:util';

const [baseURL, modules, apiKey, incipit, store, swapsText] = process.argv.slice(2);
const swaps = Number(swapsText);
const require = createRequire(path.join(path.resolve(modules), 'x.js'));
const {default: OpenAI} = await import(pathToFileURL(require.resolve('openai')));
const client = new OpenAI({baseURL, apiKey, maxRetries: 0, timeout: 20_000});
const run = promisify(execFile);

const users = 4;
const maxTokens = 24;
const prompts = Array.from({length: 40}, (_, i) => `Chapter ${i}. It was a dark night when`);
const texts = new Map();  // by version and prompt: the same ones always say the same
const seen = new Map();   // answers by version
const quiet = [], busy = [];
let over = false, swapping = false, failure = null;

const ask = async (prompt) => {
  const begun = performance.now();
  const duringSwaps = swapping;
  let first = null, text = '', finish = null, usage = null;
  const versions = new Set();
  const stream = await client.completions.create({
    model: 'chat', prompt, max_tokens: maxTokens, temperature: 0, stream: true, stream_options: {include_usage: true},
    ignore_eos: true});
  for await (const chunk of stream) {
    versions.add(chunk.system_fingerprint);
    usage = chunk.usage ?? usage;
    if (chunk.choices.length === 0) continue;
    if (first === null && chunk.choices[0].text) first = performance.now();
    text += chunk.choices[0].text;
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert.equal(versions.size, 1, 'one answer, one version');
  assert.equal(finish, 'length');
  assert.equal(usage.completion_tokens, maxTokens);
  const [version] = versions;
  const known = texts.get(version + prompt);
  if (known !== undefined) assert.equal(text, known);
  texts.set(version + prompt, text);
  seen.set(version, (seen.get(version) ?? 0) + 1);
  (duringSwaps ? busy : quiet).push(first - begun);
};

const user = async (number) => {
  for (let i = number; !over; ++i) await ask(prompts[i % prompts.length]);
};
const percentile = (values, percent) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * percent / 100))];
const serves = async (version) => {
  for (let tries = 0; tries < 400; ++tries) {
    if ((await client.models.retrieve('chat')).root === `chat@${version}`) return;
    await sleep(20);
  }
  throw new Error(`version ${version} was not served`);
};

const load = Promise.all(Array.from({length: users}, (_, i) => user(i))).catch((error) => {
  failure = error;
  over = true;
});
try {
  await sleep(Math.min(10_000, 100 * swaps));
  swapping = true;
  for (let i = 0; i < swaps && !failure; ++i) {
    if (i % 2 === 0) {
      await run(incipit, ['store', 'promote', store, 'chat', '2', '--unverified']);
      await serves(2);
    } else {
      await run(incipit, ['store', 'rollback', store, 'chat']);
      await serves(1);
    }
  }
} catch (error) {
  failure ??= error;
}
over = true;
await load;
if (failure) {
  console.error(failure.stack);
  process.exit(1);
}
assert.equal(seen.size, 2, 'both versions have answered');
const ms = (values) => `${percentile(values, 50).toFixed(1)} and ${percentile(values, 99).toFixed(1)}`;
console.log(`${swaps} swaps and rollbacks, ${quiet.length + busy.length} answers, none lost or mixed; ` +
  `first token (p50 and p99, ms): ${ms(quiet)} without, ${ms(busy)} during swaps: ` +
  `${(percentile(busy, 99) / percentile(quiet, 99)).toFixed(2)}`);
