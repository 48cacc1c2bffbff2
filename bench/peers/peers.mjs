// incipit and its peers on the same random model, prompts, threads and cores, in turn, round after round.
//   node peers.mjs --incipit PROGRAM --scratch FOLDER [--geometry NAME] [--prompt 128,512,1024] [--rounds 3] [--only NAMES]
// FOLDER holds the peers' node_modules; models and results (peers-GEOMETRY.json) are written there. Prints Markdown.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { geometryOf } from './geometries.mjs';
import { median } from './measure.mjs';

const decode = 64, repeat = 3;
const names = ['incipit-bf16', 'incipit-int8', 'incipit-int4', 'llama-bf16', 'llama-q8_0', 'llama-q4_0', 'onnxruntime-fp32'];

function readOptions() {
  const { values } = parseArgs({
    options: {
      incipit: { type: 'string' }, scratch: { type: 'string' }, geometry: { type: 'string', default: 'llama-0.5b' },
      prompt: { type: 'string', default: '128,512,1024' }, rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: names.join(',') },
    },
  });
  const list = (text) => text.split(',').filter(Boolean);
  const prompts = list(values.prompt).map(Number), rounds = Number(values.rounds), only = list(values.only);
  const { vocabulary, positions } = geometryOf(values.geometry);
  const longest = Math.min(positions, 2048) - decode;
  if (!prompts.length || prompts.some((n) => !Number.isInteger(n) || n < 1 || n > longest)) {
    throw new Error(`--prompt ${values.prompt}: give lengths from 1 to ${longest}, such as 128,512,1024`);
  }
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: give a number from 1`);
  const unknown = only.find((name) => !names.some((known) => known.startsWith(name)));
  if (unknown || !only.length) throw new Error(`--only ${values.only}: give some of ${names.join(', ')}, or how they begin`);
  return {
    ...values, scratch: resolve(values.scratch), incipit: resolve(values.incipit), prompts, rounds, vocabulary,
    contestants: names.filter((name) => only.some((begin) => name.startsWith(begin))),
    threads: availableParallelism(),  // the cores that taskset leaves us
  };
}

process.on('uncaughtException', (error) => {
  say(`peers: ${error.message}`);
  process.exit(1);
});

const say = (text) => process.stderr.write(`${text}\n`);
const options = readOptions();
const script = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The output of a program; what it says goes into the error when it fails. */
function capture(program, args, { mayFail = false } = {}) {
  const done = spawnSync(program, args.map(String), {
    cwd: options.scratch, encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });
  if (done.error) throw done.error;
  if (done.status !== 0 && !(mayFail && done.stdout)) throw new Error(`${program} ${args.join(' ')}\n${done.stderr}`);
  return done.stdout;
}

/** The contestant's model file; an engine is always built anew, by the program as it is now. */
function modelOf(name) {
  const [maker, format] = name.split('-');
  const path = join(options.scratch, `${options.geometry}-${format}.${{ incipit: 'engine', llama: 'gguf', onnxruntime: 'onnx' }[maker]}`);
  if (maker !== 'incipit' && existsSync(path)) return path;
  say(`writing ${path}`);
  if (maker === 'incipit') {
    capture(options.incipit, ['build', '--geometry', options.geometry, '--precision', format, '--max-context', 2048, '-o', path]);
    return path;
  }
  const args = maker === 'llama' ? [script('write_gguf.mjs'), options.geometry, format.toUpperCase(), `${path}.part`]
                                 : [script('write_onnx.mjs'), options.geometry, path];
  execFileSync(process.execPath, args);
  if (maker === 'llama') renameSync(`${path}.part`, path);
  return path;
}

function measureOnce(name, path) {
  const maker = name.split('-')[0];
  const lengths = options.prompts.join(',');
  if (maker !== 'incipit') {
    const given = maker === 'llama' ? [script('run_llama.mjs'), path, options.vocabulary]
                                    : [script('run_onnxruntime.mjs'), path, options.geometry];
    return JSON.parse(capture(process.execPath, [...given, lengths, decode, repeat, options.threads]));
  }
  // Its exit status says whether its limit was right, which ratios do not need.
  const output = capture(options.incipit, ['bench', path, '--prompt', lengths, '--decode', decode, '--repeat', repeat,
    '--threads', options.threads, '--json', '--no-save'], { mayFail: true });
  const result = { ttft: {} };
  for (const one of JSON.parse(output).results) {
    if (one.kind === 'ttft') result.ttft[one.tokens] = one.ms_median;
    if (one.kind === 'decode') result.decode = one.ms_median;
  }
  return result;
}

function table(results) {
  const columns = [...options.prompts.map((n) => [`ttft ${n}`, (r) => r.ttft[n]]), ['decode', (r) => r.decode]];
  const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
  const row = (label, cells) => `| ${[label, ...cells].join(' | ')} |`;
  const times = Object.fromEntries(Object.entries(results).map(([name, rounds]) =>
    [name, columns.map(([, pick]) => median(rounds.map(pick)))]));
  const lines = [row('ms', columns.map(([label]) => label)), `|${'---|'.repeat(columns.length + 1)}`];
  for (const [name, cells] of Object.entries(times)) lines.push(row(name, cells.map(digits)));
  const ours = Object.keys(times).filter((name) => name.startsWith('incipit'));
  const peers = Object.keys(times).filter((name) => !name.startsWith('incipit'));
  if (ours.length) {
    const best = columns.map((_, i) => Math.min(...ours.map((name) => times[name][i])));
    for (const name of peers) lines.push(row(`${name} / best of incipit`, times[name].map((ms, i) => `${(ms / best[i]).toFixed(2)}×`)));
  }
  for (const [theirs, our] of [['llama-q8_0', 'incipit-int8'], ['llama-q4_0', 'incipit-int4']]) {
    if (!times[our] || !times[theirs]) continue;
    const ratio = times[theirs].at(-1) / times[our].at(-1);
    lines.push(row(`${theirs} / ${our}`, [...options.prompts.map(() => ''), `${ratio.toFixed(2)}×`]));
  }
  return lines.join('\n');
}

function versionOf(peer) {
  return JSON.parse(readFileSync(join(options.scratch, 'node_modules', peer, 'package.json'))).version;
}

const cpu = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
const versions = `${capture(options.incipit, ['--version']).trim()}, node-llama-cpp ${versionOf('node-llama-cpp')}, onnxruntime-node ${versionOf('onnxruntime-node')}`;
// Peers wait by spinning: what else runs costs them far more than us, and ratios of such a run are not to be quoted.
const load = loadavg()[0];
const busy = load > 0.25 * cpus().length ? `; **the machine was busy (load ${load.toFixed(1)} on ${cpus().length} cores): not to be quoted**` : '';
const models = Object.fromEntries(options.contestants.map((name) => [name, modelOf(name)]));
const results = Object.fromEntries(options.contestants.map((name) => [name, []]));
for (let round = 1; round <= options.rounds; ++round) {
  for (const name of options.contestants) {
    say(`round ${round} of ${options.rounds}: ${name}`);
    results[name].push(measureOnce(name, models[name]));
  }
}
const record = join(options.scratch, `peers-${options.geometry}.json`);
writeFileSync(record, `${JSON.stringify({ geometry: options.geometry, cpu, threads: options.threads, versions, load, decode, repeat, rounds: results }, null, 1)}\n`);
console.log(`\`${options.geometry}\`, ${cpu}, ${options.threads} threads; ${versions}; median of ${options.rounds} rounds${busy}\n\n${table(results)}`);
say(`every round: ${record}`);
