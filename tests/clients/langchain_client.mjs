// LangChain's client against a running server: node langchain_client.mjs BASE_URL FOLDER_OF_NODE_MODULES KEY
// Ends with a line that counts the checks; exit status 1 and the reason where one fails.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

const [baseURL, modules, apiKey] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), 'x.js'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const {ChatOpenAI} = await load('@langchain/openai');
const {HumanMessage, SystemMessage} = await load('@langchain/core/messages');

const models = await (await fetch(`${baseURL}/models`, {headers: {authorization: `Bearer ${apiKey}`}})).json();
const model = new ChatOpenAI(
    {model: models.data[0].id, apiKey, configuration: {baseURL}, maxTokens: 10, temperature: 0, maxRetries: 0, streamUsage: true});
const asked = [new SystemMessage('Be brief.'), new HumanMessage('Tell me a story.')];
let checks = 0;

const whole = await model.invoke(asked);
assert.equal(typeof whole.content, 'string');
assert(whole.content.length > 0);
assert.equal(whole.usage_metadata.output_tokens, 10);
assert.equal(whole.response_metadata.finish_reason, 'length');
++checks;

let text = '', usage = null;
for await (const chunk of await model.stream(asked)) {
  text += chunk.content;
  usage = chunk.usage_metadata ?? usage;
}
assert.equal(text, whole.content);
assert.equal(usage.output_tokens, 10);
assert(usage.input_token_details.cache_read > 0);
++checks;

const several = await model.batch([asked, asked, asked]);
for (const one of several) assert.equal(one.content, whole.content);
++checks;

// What is not supported is refused by name, and not left out.
const structured = model.withStructuredOutput({title: 'x', type: 'object', properties: {a: {type: 'string'}}, required: ['a']});
await assert.rejects(structured.invoke(asked), /response_format|tools/);
++checks;

console.log(`${checks} checks of @langchain/openai passed`);
