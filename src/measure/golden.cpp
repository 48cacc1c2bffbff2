#include "measure/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/version.h"
#include "engine/plan_items.h"
#include "measure/measure.h"
#include "measure/probe_request.h"

namespace incipit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int32_t forced_tokens = 4;    // behind each prompt
constexpr size_t most_in_pieces = 256;  // tokens
constexpr double infinity = std::numeric_limits<double>::infinity();

/// f32 engines differ in the order of their sums alone: as quant/f32.cpp has it.
constexpr double order_of_sums = 1e-4;
/// Between the spread of the ways that were compared and that of all there are.
constexpr double margin_of_spread = 4;
/// The rounding of log-probabilities themselves, where a model finds all tokens alike.
constexpr double least_range = 0.1;
/// Of what the formats explain: where an engine has several ways, not all of which were compared.
constexpr double least_share = 1.0 / 16;

GoldenRow row_of(const SampledRow& sampled, int32_t forced) {
  GoldenRow row;
  const auto count = static_cast<size_t>(sampled.top_count);
  row.ids.assign(sampled.top_ids.begin(), sampled.top_ids.begin() + static_cast<std::ptrdiff_t>(count));
  row.logprobs.assign(sampled.top_logprobs.begin(), sampled.top_logprobs.begin() + static_cast<std::ptrdiff_t>(count));
  // A token without any probability is not even drawn where it is forced.
  row.forced_logprob = sampled.id == forced ? sampled.logprob : -std::numeric_limits<float>::infinity();
  return row;
}

std::vector<GoldenRow> rows_of(const ProbeAnswer& answer, int32_t forced) {
  std::vector<GoldenRow> rows;
  for (const SampledRow& sampled : answer.rows) rows.push_back(row_of(sampled, forced));
  return rows;
}

/// Tells `rows` distributions: behind the prompt, and behind each forced token but the last.
Request golden_request(const Gateway& gateway, std::span<const int32_t> prompt, int32_t rows, int32_t forced) {
  Request request = probe_request(gateway, prompt, rows);
  request.sampling.top_logprobs = max_top_logprobs;
  force_token(request.sampling, forced);
  return request;
}

/// Sizes of prompts, each with its bucket.
std::vector<GoldenPrompt> prompts_of(const Gateway& gateway) {
  std::vector<GoldenPrompt> prompts;
  for (const plan::Bucket* bucket : items(gateway.engine().plan().buckets())) {
    GoldenPrompt prompt;
    prompt.bucket = static_cast<int32_t>(bucket->tokens());
    prompt.tokens = std::min(prompt.bucket, gateway.limits().max_context);
    if (prompts.empty() || prompt.tokens > prompts.back().tokens) prompts.push_back(prompt);
  }
  return prompts;
}

GoldenCheck::Bucket difference_of(std::span<const GoldenRow> expected, std::span<const GoldenRow> found,
                                  int32_t forced) {
  GoldenCheck::Bucket result;
  double squares = 0;
  int32_t count = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const RowDeviation row = deviation_of(expected[i], found[i], forced);
    squares += row.squares;
    count += row.count;
    if (result.worst.token >= 0 && row.largest <= result.worst.largest) continue;
    result.row = static_cast<int32_t>(i);
    result.worst = row;
  }
  result.mean = std::sqrt(squares / count);
  return result;
}

/// Records an engine's rows, and how far its own ways to compute them are apart.
class GoldenRecorder {
 public:
  GoldenRecorder(Gateway& gateway, GoldenLogits& golden) : gateway_(gateway), golden_(golden) {}

  void record(GoldenPrompt& prompt) {
    const int32_t room = gateway_.limits().max_context + 1 - prompt.tokens;
    const int32_t rows = std::min(1 + forced_tokens, room);
    const auto text = std::span(golden_.text).first(static_cast<size_t>(prompt.tokens));
    const Request request = golden_request(gateway_, text, rows, golden_.forced);
    prompt.rows = ask(request);
    for (const GoldenRow& row : prompt.rows) {
      const auto least = std::min(row.forced_logprob, row.logprobs.back());
      golden_.range = std::max(golden_.range, static_cast<double>(row.logprobs.front() - least));
    }
    compare_pieces(prompt, text, request.cache_salt);
  }

 private:
  /// The same in two pieces, of which the second is a quarter, or where that would take long, what is not cached of it:
  /// kernels of another bucket compute it. Then what was decoded token by token, as the end of a prompt.
  void compare_pieces(const GoldenPrompt& prompt, std::span<const int32_t> text, uint64_t salt) {
    const auto rows = static_cast<int32_t>(prompt.rows.size());
    if (text.size() <= most_in_pieces) {
      const size_t first = std::max<size_t>(1, text.size() - text.size() / 4);
      const Request beginning = golden_request(gateway_, text.first(first), 1, golden_.forced);
      salt = beginning.cache_salt;
      ask(beginning);
    }
    Request whole = golden_request(gateway_, text, rows, golden_.forced);
    whole.cache_salt = salt;
    compare(prompt.rows, ask(whole));
    if (rows == 1) return;
    std::vector<int32_t> longer(text.begin(), text.end());
    longer.resize(text.size() + static_cast<size_t>(rows) - 1, golden_.forced);
    Request decoded = golden_request(gateway_, longer, 1, golden_.forced);
    decoded.cache_salt = salt;
    compare(std::span(prompt.rows).last(1), ask(decoded));
  }

  std::vector<GoldenRow> ask(Request request) {
    const auto wanted = static_cast<size_t>(request.max_new_tokens);
    const std::string name = gateway_.engine().path().string();
    EngineProbe probe(gateway_, std::move(request));
    const ProbeAnswer answer = probe.answer(Clock::time_point::max());
    if (!answer.is_whole()) throw Error(name, fmt::format("its golden logits cannot be recorded: {}", answer.failure));
    std::vector<GoldenRow> rows = rows_of(answer, golden_.forced);
    const auto has_numbers = [](const GoldenRow& row) { return !row.ids.empty() && std::isfinite(row.forced_logprob); };
    if (rows.size() != wanted || !std::ranges::all_of(rows, has_numbers)) {
      throw Error(name, "its golden logits cannot be recorded: a token of its vocabulary has no probability");
    }
    return rows;
  }

  void compare(std::span<const GoldenRow> expected, std::span<const GoldenRow> found) {
    const GoldenCheck::Bucket difference = difference_of(expected, found, golden_.forced);
    golden_.spread.largest = std::max(golden_.spread.largest, difference.worst.largest);
    golden_.spread.mean = std::max(golden_.spread.mean, difference.mean);
  }

  Gateway& gateway_;
  GoldenLogits& golden_;
};

/// Whether every step has one kernel for any number of rows.
bool has_one_way(const plan::Plan& plan) {
  return std::ranges::all_of(items(plan.steps()), [](const plan::Step* step) {
    const auto uses = items(step->kernels());
    return std::ranges::all_of(uses, [&](const plan::KernelUse* use) {
      const plan::KernelUse* const first = *uses.begin();
      return text(use->kernel()) == text(first->kernel()) && text(use->config()) == text(first->config());
    });
  });
}

void note_deviation(RowDeviation& row, int32_t token, double expected, double found) {
  const double difference = std::fabs(found - expected);
  const double deviation = std::isfinite(difference) ? difference : infinity;
  row.squares += deviation * deviation;
  ++row.count;
  if (row.token >= 0 && deviation <= row.largest) return;
  row.largest = deviation;
  row.token = token;
  row.expected = expected;
  row.found = found;
}

/// How far a bucket is beyond what is tolerated: more than 1 is too far.
double excess_of(const GoldenCheck::Bucket& found, const GoldenSpread& tolerance) {
  return std::max(found.worst.largest / tolerance.largest, found.mean / tolerance.mean);
}

std::string describe(const GoldenCheck::Bucket& found, const GoldenSpread& tolerance) {
  const std::string where = found.row == 0 ? "" : fmt::format(", {} tokens on", found.row);
  return fmt::format(
      "bucket {}{}: token {} has log-probability {:.6g} where {:.6g} is expected; its log-probabilities are {:.3g} off "
      "(tolerance {:.3g}), {:.3g} in the mean ({:.3g})",
      found.bucket, where, found.worst.token, found.worst.found, found.worst.expected, found.worst.largest,
      tolerance.largest, found.mean, tolerance.mean);
}

}  // namespace

GoldenSpread GoldenLogits::tolerance() const {
  // An error of logits moves the sum of all as far as one of them.
  const double wide = std::max(range, least_range);
  const double of_sums = 2 * order_of_sums * wide, of_format = 2 * format_error * wide;
  const double least = std::max(of_sums, has_one_way ? 0 : least_share * of_format), most = std::max(least, of_format);
  // The mean of several is half as large as their largest, at most.
  return {std::clamp(margin_of_spread * spread.largest, least, most),
          std::clamp(margin_of_spread * spread.mean, least / 2, most / 2)};
}

RowDeviation deviation_of(const GoldenRow& expected, const GoldenRow& found, int32_t forced) {
  RowDeviation worst;
  note_deviation(worst, forced, expected.forced_logprob, found.forced_logprob);
  for (size_t i = 0; i < expected.ids.size(); ++i) {
    const auto wanted = static_cast<double>(expected.logprobs[i]);
    const auto place = std::ranges::find(found.ids, expected.ids[i]);
    if (place != found.ids.end()) {
      note_deviation(worst, expected.ids[i], wanted,
                     static_cast<double>(found.logprobs[static_cast<size_t>(place - found.ids.begin())]));
    } else {
      // It is no likelier than the last that is told: as likely at best.
      const double most = found.logprobs.empty() ? -infinity : static_cast<double>(found.logprobs.back());
      note_deviation(worst, expected.ids[i], wanted, std::min(wanted, most));
    }
  }
  return worst;
}

GoldenLogits record_golden(Gateway& gateway, const GoldenRecording& options) {
  GoldenLogits golden;
  golden.version = version();
  golden.machine = machine_of(gateway.engine());
  golden.format_error = options.format_error;
  golden.has_one_way = has_one_way(gateway.engine().plan());
  std::vector<GoldenPrompt> prompts = prompts_of(gateway);
  golden.text = measured_request(gateway, prompts.back().tokens, 1).prompt;
  golden.forced = golden.text.front();
  GoldenRecorder recorder(gateway, golden);
  const auto begun = Clock::now();
  double last_seconds = 0;
  for (GoldenPrompt& prompt : prompts) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - begun).count();
    // The next takes longer than the last by as much as it has more tokens, or hardly.
    const double grown = golden.prompts.empty() ? 0 : static_cast<double>(prompt.tokens) / golden.prompts.back().tokens;
    if (!golden.left_out.empty() || elapsed + last_seconds * grown > options.seconds) {
      golden.left_out.push_back(prompt.bucket);
      continue;
    }
    recorder.record(prompt);
    golden.prompts.push_back(std::move(prompt));
    last_seconds = std::chrono::duration<double>(Clock::now() - begun).count() - elapsed;
  }
  golden.text.resize(static_cast<size_t>(golden.prompts.back().tokens));
  return golden;
}

GoldenCheck check_golden(Gateway& gateway, std::chrono::seconds patience) {
  GoldenCheck check;
  const std::optional<GoldenLogits> golden = golden_of(gateway.engine());
  if (!golden) {
    check.line = "the engine has no golden logits: build it again, or let incipit bench record them";
    return check;
  }
  check.tolerance = golden->tolerance();
  const auto until = Clock::now() + patience;
  for (const GoldenPrompt& prompt : golden->prompts) {
    const auto text = std::span(golden->text).first(static_cast<size_t>(prompt.tokens));
    const auto rows = static_cast<int32_t>(prompt.rows.size());
    EngineProbe probe(gateway, golden_request(gateway, text, rows, golden->forced));
    const ProbeAnswer answer = probe.answer(until);
    if (answer.finish == FinishReason::none || answer.finish == FinishReason::cancelled) {
      check.verdict = GoldenVerdict::inconclusive;
      check.line = fmt::format("bucket {}: no answer within {} s", prompt.bucket, patience.count());
      return check;
    }
    if (!answer.is_whole() || answer.rows.size() != prompt.rows.size()) {
      check.verdict = GoldenVerdict::failed;
      check.line = fmt::format("bucket {}: {}", prompt.bucket,
                               answer.failure.empty() ? "its text ended before its time" : answer.failure);
      return check;
    }
    check.buckets.push_back(difference_of(prompt.rows, rows_of(answer, golden->forced), golden->forced));
    check.buckets.back().bucket = prompt.bucket;
  }
  const auto worst = std::ranges::max_element(
      check.buckets, {}, [&](const GoldenCheck::Bucket& one) { return excess_of(one, check.tolerance); });
  const bool passed = excess_of(*worst, check.tolerance) <= 1;
  check.verdict = passed ? GoldenVerdict::passed : GoldenVerdict::failed;
  if (!passed) {
    check.line = describe(*worst, check.tolerance);
  } else if (worst->worst.largest == 0) {
    check.line = fmt::format("{} buckets, bit for bit", check.buckets.size());
  } else {
    check.line = fmt::format("{} buckets, log-probabilities at most {:.3g} off (tolerance {:.3g})",
                             check.buckets.size(), worst->worst.largest, check.tolerance.largest);
  }
  return check;
}

}  // namespace incipit
