// The official openai client against a running server: node openai_client.mjs BASE_URL FOLDER_OF_NODE_MODULES KEY
// Ends with a line that counts the checks; exit status 1 and the reason where one fails.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

const [baseURL, modules, apiKey] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), 'x.js'));
const {default: OpenAI, APIError} = await import(pathToFileURL(require.resolve('openai')));
const client = new OpenAI({baseURL, apiKey, maxRetries: 0, timeout: 20_000});

let checks = 0;
const check = async (name, run) => {
  try {
    await run();
    ++checks;
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exit(1);
  }
};
const refused = async (promise, status) => {
  const error = await promise.then(() => null, (reason) => reason);
  assert(error instanceof APIError, `not refused: ${error}`);
  assert.equal(error.status, status);
  return error;
};

const models = await client.models.list();
const model = models.data[0].id;
const messages = [{role: 'user', content: 'Tell me a story.'}];
const fixed = {model, messages, max_tokens: 12, seed: 5, temperature: 0.8};

await check('models', async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  const error = await refused(client.models.retrieve('none'), 404);
  assert.equal(error.code, 'model_not_found');
});

await check('a conversation, whole and streamed', async () => {
  const whole = await client.chat.completions.create(fixed);
  assert.equal(whole.object, 'chat.completion');
  assert.equal(whole.choices[0].message.role, 'assistant');
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  assert(whole._request_id);
  const stream = await client.chat.completions.create({...fixed, stream: true, stream_options: {include_usage: true}});
  let text = '', usage = null, finish = null, role = null;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    if (chunk.choices.length === 0) {
      usage = chunk.usage;
      continue;
    }
    assert.equal(usage, null);
    role ??= chunk.choices[0].delta.role;
    text += chunk.choices[0].delta.content ?? '';
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert.equal(role, 'assistant');
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
  assert(usage.prompt_tokens_details.cached_tokens > 0);
});

await check("the client's own reading of a stream", async () => {
  const runner = client.chat.completions.stream({...fixed, n: 2, logprobs: true, top_logprobs: 3});
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices.length, 2);
  for (const choice of final.choices) {
    assert(choice.logprobs.content.length > 0);
    assert.equal(choice.logprobs.content[0].top_logprobs.length, 3);
    assert(choice.logprobs.content[0].logprob <= 0);
  }
});

await check('content in parts, a system message, a stop text', async () => {
  const parts = [{role: 'system', content: 'Be brief.'},
                 {role: 'user', content: [{type: 'text', text: 'Tell me '}, {type: 'text', text: 'a story.'}]}];
  const answer = await client.chat.completions.create({...fixed, messages: parts, temperature: 0, max_tokens: 40});
  const text = answer.choices[0].message.content;
  const stop = text.slice(8, 11);
  const stopped = await client.chat.completions.create(
      {...fixed, messages: parts, temperature: 0, max_tokens: 40, stop: [stop]});
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  assert.equal(stopped.choices[0].message.content, text.slice(0, text.indexOf(stop)));
});

await check('a completion', async () => {
  const asked = {model, prompt: 'It was a dark and stormy night', max_tokens: 6, temperature: 0};
  const whole = await client.completions.create({...asked, logprobs: 2, echo: false});
  assert.equal(whole.choices[0].logprobs.tokens.length, whole.usage.completion_tokens);
  let text = '';
  for await (const chunk of await client.completions.create({...asked, stream: true})) text += chunk.choices[0].text;
  assert.equal(text, whole.choices[0].text);
  const several = await client.completions.create({...asked, prompt: [asked.prompt, asked.prompt], n: 2});
  assert.deepEqual(several.choices.map((choice) => choice.text), Array(4).fill(text));
  const biased = await client.completions.create({...asked, max_tokens: 3, logit_bias: {20: 100}});
  assert.notEqual(biased.choices[0].text, '');
});

await check('refusals', async () => {
  assert.equal((await refused(client.chat.completions.create({...fixed, temperature: 5}), 400)).param, 'temperature');
  assert.equal((await refused(client.chat.completions.create({...fixed, stream: true, tools: [{type: 'function'}]}), 400)).param,
               'tools');
  const long = await refused(client.completions.create({model, prompt: 'word '.repeat(20_000)}), 400);
  assert.equal(long.code, 'context_length_exceeded');
  await refused(new OpenAI({baseURL, apiKey: 'wrong', maxRetries: 0}).models.list(), 401);
});

await check('a stream that is left', async () => {
  const stream = await client.chat.completions.create({...fixed, max_tokens: 200, stream: true, ignore_eos: true});
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  const answer = await client.chat.completions.create({...fixed, max_tokens: 1});
  assert.equal(answer.usage.completion_tokens, 1);
});

await check('many at once', async () => {
  const whole = await client.chat.completions.create(fixed);
  const many = await Promise.all(Array.from({length: 8}, () => client.chat.completions.create(fixed)));
  for (const one of many) assert.equal(one.choices[0].message.content.length > 0, whole.choices[0].message.content.length > 0);
});

console.log(`${checks} checks of openai ${JSON.parse(readFileSync(path.join(modules, 'openai/package.json'))).version} passed`);
