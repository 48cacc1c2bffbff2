#include "measure/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <ctime>
#include <deque>
#include <thread>

#include "base/cpu.h"
#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/version.h"
#include "device/device.h"
#include "engine/engine.h"

namespace incipit {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Ids spread over the vocabulary, always the same for a seed.
std::vector<int32_t> make_prompt(int32_t tokens, int32_t vocabulary, uint64_t seed = 1) {
  std::vector<int32_t> ids;
  uint64_t state = seed;
  while (static_cast<int32_t>(ids.size()) < tokens) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's
    ids.push_back(static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocabulary)));
  }
  return ids;
}

/// Tokens before the decoded ones.
int32_t decoding_prompt(const MeasureOptions& options, int32_t context) {
  constexpr int32_t usual = 128;
  if (options.decode_context > 0) return options.decode_context;
  return std::max(1, std::min(usual, context - options.decode));
}

StreamUpdate read_to_end(const Gateway& gateway, TokenStream& stream) {
  StreamUpdate all = stream.read_to_end();
  if (all.finish == FinishReason::failed) throw Error(gateway.engine().path().string(), all.failure);
  return all;
}

struct FirstToken {
  double ms = 0;
  int32_t cached_tokens = 0;  // of the prompt
};

/// Does nothing, but ends where the user wants an end.
void rest(std::chrono::milliseconds pause) {
  constexpr auto patience = std::chrono::milliseconds(50);
  const auto end = Clock::now() + pause;
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(patience, end - now));
    check_interrupt();
  }
}

FirstToken time_first_token(Gateway& gateway, Request request, std::chrono::milliseconds pause) {
  rest(pause);
  const auto start = Clock::now();
  TokenStream stream(gateway, std::move(request));
  const StreamUpdate all = read_to_end(gateway, stream);
  return {milliseconds(all.times.front() - start), all.cached_tokens};
}

/// Times between `tokens` + 1 tokens of the last of some sequences, while all of them decode. Returns how many tokens
/// further they were at its first token, in the mean.
double add_gaps(Gateway& gateway, int32_t sequences, int32_t prompt, int32_t tokens, std::vector<double>& gaps) {
  // The others begin before and must not end before: they decode while prompts behind theirs are computed.
  const int32_t most = gateway.limits().max_tokens, steps_a_prompt = (prompt + most - 1) / most + 1;
  const int32_t more = sequences * steps_a_prompt + 16;
  const int32_t longest = std::min(gateway.limits().max_context - prompt, tokens + 1 + more);
  std::deque<TokenStream> others;
  for (int32_t i = 1; i < sequences; ++i) others.emplace_back(gateway, measured_request(gateway, prompt, longest));
  TokenStream last(gateway, measured_request(gateway, prompt, tokens + 1));
  const StreamUpdate all = read_to_end(gateway, last);
  int64_t ahead = 0;
  for (TokenStream& other : others) {
    const std::optional<StreamUpdate> update = other.next({});
    if (!update) continue;
    ahead += std::ranges::count_if(update->times, [&](auto time) { return time < all.times.front(); });
    if (update->finish == FinishReason::none) continue;
    if (!update->times.empty() && update->times.back() >= all.times.back()) continue;
    throw Error("--decode-batch", "a sequence ended before the last one had decoded its tokens",
                "give fewer tokens to --decode, or build the engine with a larger --max-context");
  }
  for (size_t i = 1; i < all.times.size(); ++i) gaps.push_back(milliseconds(all.times[i] - all.times[i - 1]));
  return static_cast<double>(ahead) / sequences;
}

/// Repeats `once`, which adds its times, within the bounds of the options. Returns the number of runs.
template <typename Once>
int32_t repeat(const MeasureOptions& options, Progress& progress, Once&& once) {
  const auto start = Clock::now();
  int32_t runs = 0;
  while (runs < options.repeat && (runs < 2 || milliseconds(Clock::now() - start) < options.seconds * 1e3)) {
    once();
    ++runs;
    progress.advance(1);
  }
  progress.skip(options.repeat - runs);
  return runs;
}

Measurement measure_prompt(Gateway& gateway, int32_t tokens, const MeasureOptions& options, Progress& progress) {
  const auto once = [&] { return time_first_token(gateway, measured_request(gateway, tokens, 1), options.pause).ms; };
  once();
  progress.advance(1);
  std::vector<double> times;
  const int32_t runs = repeat(options, progress, [&] { times.push_back(once()); });
  return {"ttft", tokens, 0, median(times), runs, {0, tokens}};
}

/// The prompts begin alike and end differently.
Measurement measure_cached_prompt(Gateway& gateway, int32_t tokens, const MeasureOptions& options, Progress& progress) {
  const Request first = measured_request(gateway, tokens, 1);
  uint64_t seed = 2;
  const auto once = [&] {
    Request request = first;
    std::ranges::copy(make_prompt(tokens - options.cached, gateway.limits().vocabulary, seed++),
                      request.prompt.begin() + options.cached);
    return time_first_token(gateway, std::move(request), options.pause);
  };
  once();
  const int32_t cached = once().cached_tokens;
  if (cached == 0) {
    throw Error("--cached", fmt::format("none of {} tokens came from the prefix cache", options.cached), "give more");
  }
  progress.advance(1);
  std::vector<double> times;
  const int32_t runs = repeat(options, progress, [&] { times.push_back(once().ms); });
  return {"ttft", tokens, cached, median(times), runs, {cached, tokens - cached}};
}

Measurement measure_decoding(Gateway& gateway, const MeasureOptions& options, Progress& progress) {
  const int32_t context = gateway.limits().max_context, sequences = options.decode_batch;
  const int32_t prompt = decoding_prompt(options, context);
  const int32_t tokens = std::min(options.decode, context - prompt);
  std::vector<double> gaps;
  add_gaps(gateway, sequences, prompt, 1, gaps);
  gaps.clear();
  progress.advance(1);
  std::vector<double> ahead;
  const int32_t runs =
      repeat(options, progress, [&] { ahead.push_back(add_gaps(gateway, sequences, prompt, tokens, gaps)); });
  const auto position = prompt + tokens / 2 + std::lround(median(ahead));
  return {"decode", tokens, prompt, median(gaps), runs, {position, 1, true, sequences}};
}

}  // namespace

Request measured_request(const Gateway& gateway, int32_t prompt, int32_t new_tokens) {
  static std::atomic<uint64_t> salt{0};
  Request request;
  request.prompt = make_prompt(prompt, gateway.limits().vocabulary);
  request.max_new_tokens = new_tokens;
  request.ignore_end = true;
  request.detokenize = false;
  request.cache_salt = ++salt;
  request.measures = true;
  return request;
}

void check_measurable(const Gateway& gateway, const MeasureOptions& options) {
  const int32_t context = gateway.limits().max_context;
  for (const int32_t tokens : options.prompts) {
    if (tokens > context) {
      throw Error("--prompt", fmt::format("{} tokens exceed the engine's context of {}", tokens, context),
                  "give shorter prompts, or build the engine with a larger --max-context");
    }
  }
  if (options.decode_context >= context) {
    throw Error("--decode-context", fmt::format("the engine's context is {}", context), "give fewer tokens");
  }
  if (options.decode > 0 && context < 2) throw Error("--decode", "the engine's context is 1", "give 0");
  if (options.cached > 0 && std::ranges::none_of(options.prompts, [&](int32_t n) { return n > options.cached; })) {
    throw Error("--cached", fmt::format("no prompt has more than {} tokens", options.cached), "give a longer --prompt");
  }
  const int32_t most = gateway.limits().max_sequences;
  if (options.decode_batch > most) {
    throw Error("--decode-batch", fmt::format("the engine has {} sequences at once", most),
                "give fewer, or build the engine with a larger --max-batch");
  }
}

void wait_for_memory(Gateway& gateway, Progress& progress) {
  constexpr auto between_looks = std::chrono::milliseconds(50);
  gateway.run_alone([&](Session& session) {
    Device& device = session.executor().device();
    if (device.wait_for_memory(std::chrono::milliseconds(0))) return;
    progress.stage("memory", 0);
    while (!device.wait_for_memory(between_looks)) {
      check_interrupt();
      progress.advance(0);
    }
    progress.finish();
  });
}

std::vector<Measurement> measure(Gateway& gateway, const MeasureOptions& options, Progress& progress) {
  check_measurable(gateway, options);
  wait_for_memory(gateway, progress);
  const auto is_cached = [&](int32_t tokens) { return options.cached > 0 && tokens > options.cached; };
  const int64_t results_wanted =
      std::ssize(options.prompts) + std::ranges::count_if(options.prompts, is_cached) + (options.decode > 0 ? 1 : 0);
  progress.stage("measuring", results_wanted * (1 + options.repeat), "runs");
  std::vector<Measurement> results;
  for (const int32_t tokens : options.prompts) {
    results.push_back(measure_prompt(gateway, tokens, options, progress));
    if (is_cached(tokens)) results.push_back(measure_cached_prompt(gateway, tokens, options, progress));
  }
  if (options.decode > 0) results.push_back(measure_decoding(gateway, options, progress));
  progress.finish();
  return results;
}

std::string machine_of(const Engine& engine) {
  if (engine.target().backend != Backend::cuda) return machine_fingerprint();
  return fmt::format("{} | {}", cuda::gpu().name, to_string(this_machine(Backend::cuda)));
}

boost::json::array to_json(const std::vector<Measurement>& results) {
  boost::json::array array;
  for (const Measurement& result : results) {
    boost::json::object one{{"kind", result.kind}, {"tokens", result.tokens}, {"ms_median", result.ms_median}};
    if (result.context > 0) one["context"] = result.context;
    if (result.shape.sequences > 1) one["sequences"] = result.shape.sequences;
    array.push_back(std::move(one));
  }
  return array;
}

void keep_baseline(Gateway& gateway, const std::vector<Measurement>& results) {
  const Executor::Memory memory = gateway.memory();
  const boost::json::object record{
      {"version", version()},
      {"machine", machine_of(gateway.engine())},
      {"threads", gateway.workers()},
      {"unix_time", static_cast<int64_t>(std::time(nullptr))},
      {"memory",
       {{"weights", memory.weights}, {"arena", memory.arena}, {"pages", memory.pages}, {"state", memory.state}}},
      {"results", to_json(results)}};
  const Engine& engine = gateway.engine();
  try {
    append_trailer(engine.path(), engine.body_digest(), TrailerKind::baseline, boost::json::serialize(record));
  } catch (const Error& error) {
    throw Error(error.thing(), fmt::format("{}; what was measured is not kept in the engine", error.fault()),
                error.remedy());
  }
}

}  // namespace incipit
