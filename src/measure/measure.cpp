#include "measure/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <ctime>

#include "base/cpu.h"
#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/version.h"
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

/// Ids spread over the vocabulary, always the same.
std::vector<int32_t> make_prompt(int32_t tokens, int32_t vocabulary) {
  std::vector<int32_t> ids;
  uint64_t state = 1;
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

/// When each token was there, in milliseconds after its request.
std::vector<double> arrivals(Gateway& gateway, int32_t prompt, int32_t new_tokens) {
  Request request = measured_request(gateway, prompt, new_tokens);
  const auto start = Clock::now();
  TokenStream stream(gateway, std::move(request));
  const StreamUpdate all = stream.read_to_end();
  if (all.finish == FinishReason::failed) throw Error(gateway.engine().path().string(), all.failure);
  std::vector<double> times;
  for (const Clock::time_point time : all.times) times.push_back(milliseconds(time - start));
  return times;
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

}  // namespace

Request measured_request(const Gateway& gateway, int32_t prompt, int32_t new_tokens) {
  Request request;
  request.prompt = make_prompt(prompt, gateway.limits().vocabulary);
  request.max_new_tokens = new_tokens;
  request.ignore_end = true;
  request.detokenize = false;
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
}

std::vector<Measurement> measure(Gateway& gateway, const MeasureOptions& options, Progress& progress) {
  check_measurable(gateway, options);
  const int32_t context = gateway.limits().max_context;
  std::vector<Measurement> results;
  const int64_t results_wanted = static_cast<int64_t>(options.prompts.size()) + (options.decode > 0 ? 1 : 0);
  progress.stage("measuring", results_wanted * (1 + options.repeat), "runs");
  for (const int32_t tokens : options.prompts) {
    arrivals(gateway, tokens, 1);
    progress.advance(1);
    std::vector<double> times;
    const int32_t runs = repeat(options, progress, [&] { times.push_back(arrivals(gateway, tokens, 1).front()); });
    results.push_back({"ttft", tokens, 0, median(times), runs, {0, tokens}});
  }
  if (options.decode > 0) {
    const int32_t prompt = decoding_prompt(options, context);
    const int32_t tokens = std::min(options.decode, context - prompt);
    arrivals(gateway, prompt, 2);
    progress.advance(1);
    std::vector<double> gaps;
    const int32_t runs = repeat(options, progress, [&] {
      const std::vector<double> times = arrivals(gateway, prompt, tokens + 1);
      for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
    });
    results.push_back({"decode", tokens, prompt, median(gaps), runs, {prompt + tokens / 2, 1}});
  }
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
    if (result.kind == "decode") one["context"] = result.context;
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
