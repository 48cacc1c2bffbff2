// What every peer is measured by: milliseconds from prompt ids to the first id, and for each id after it.
import { randomNumbers } from './geometries.mjs';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * `generate(prompt, steps, first)` makes `steps` tokens and calls `first` at the first. Every prompt is another one, so that
 * no prefix of it is known. Returns medians: {ttft: {128: ms, …}, decode: ms a token}.
 */
export async function measure(generate, { vocabulary, prompts, decode, repeat }) {
  const random = randomNumbers(7);
  const prompt = (length) => Array.from({ length }, () => 259 + Math.floor(random() * (vocabulary - 259)));
  const once = async (length, steps) => {
    const start = performance.now();
    let first = 0;
    await generate(prompt(length), steps, () => { first = performance.now(); });
    return { ttft: first - start, decode: (performance.now() - first) / (steps - 1) };
  };
  const result = { ttft: {} };
  for (const length of prompts) {
    await once(length, 1);
    const times = [];
    for (let i = 0; i < repeat; ++i) times.push((await once(length, 1)).ttft);
    result.ttft[length] = median(times);
  }
  if (decode > 0) {
    const times = [];
    for (let i = 0; i < repeat; ++i) times.push((await once(Math.min(...prompts), decode + 1)).decode);
    result.decode = median(times);
  }
  return result;
}
