#include "load/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>

namespace incipit {
namespace {

bool is_good(const LoadResult& result, const LoadLimits& limits) {
  const bool late = limits.first_s > 0 && result.first_s > limits.first_s;
  const auto is_long = [&](double gap) { return limits.gap_s > 0 && gap > limits.gap_s; };
  return !late && result.first_s >= 0 && std::ranges::none_of(result.gaps_s, is_long);
}

std::string row_of(std::string_view name, const Percentiles& of) {
  return fmt::format("{:<20}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}\n", name, 1e3 * of.p50, 1e3 * of.p90, 1e3 * of.p99,
                     1e3 * of.most);
}

boost::json::object object_of(const Percentiles& of) {
  return {{"p50", 1e3 * of.p50}, {"p90", 1e3 * of.p90}, {"p99", 1e3 * of.p99}, {"max", 1e3 * of.most}};
}

std::vector<LoadKind> kinds_of(std::span<const LoadResult> results) {
  constexpr size_t most = 8;
  struct Times {
    int32_t asked = 0, answered = 0;
    std::vector<double> first, gaps;
  };
  std::map<int32_t, Times> by_length;
  for (const LoadResult& result : results) {
    Times& times = by_length[result.asked_tokens];
    ++times.asked;
    times.answered += result.failure.empty() ? 1 : 0;
    if (result.first_s >= 0) times.first.push_back(result.first_s);
    times.gaps.insert(times.gaps.end(), result.gaps_s.begin(), result.gaps_s.end());
  }
  if (by_length.size() < 2 || by_length.size() > most) return {};
  std::vector<LoadKind> kinds;
  for (auto& [tokens, times] : by_length) {
    const auto begun = static_cast<int32_t>(times.first.size());
    kinds.push_back({tokens, times.asked, begun, times.answered, percentiles_of(std::move(times.first)),
                     percentiles_of(std::move(times.gaps))});
  }
  return kinds;
}

double per_second(int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

}  // namespace

Percentiles percentiles_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<size_t>(1, rank) - 1];
  };
  return {at(0.5), at(0.9), at(0.99), values.back()};
}

LoadReport make_report(std::span<const LoadResult> results, double seconds, int32_t cut, const LoadLimits& limits) {
  LoadReport report;
  report.requests = static_cast<int32_t>(results.size());
  report.seconds = seconds;
  report.cut = cut;
  report.limits = limits;
  std::vector<double> first, gaps, whole, waited;
  for (const LoadResult& result : results) {
    waited.push_back(result.waited_s);
    if (result.status == 429 || result.status == 503) {
      ++report.refused;
      continue;
    }
    if (!result.failure.empty()) {
      ++report.failed;
      if (report.first_failure.empty()) report.first_failure = result.failure;
      continue;
    }
    ++report.answered;
    if (result.first_s >= 0) first.push_back(result.first_s);
    gaps.insert(gaps.end(), result.gaps_s.begin(), result.gaps_s.end());
    whole.push_back(result.whole_s);
    report.prompt_tokens += result.prompt_tokens;
    report.cached_tokens += result.cached_tokens;
    report.new_tokens += result.new_tokens;
    report.good += is_good(result, limits) ? 1 : 0;
  }
  report.first_s = percentiles_of(std::move(first));
  report.gap_s = percentiles_of(std::move(gaps));
  report.whole_s = percentiles_of(std::move(whole));
  report.waited_s = percentiles_of(std::move(waited));
  report.kinds = kinds_of(results);
  return report;
}

std::string describe(const LoadReport& report) {
  std::string text =
      fmt::format("{} requests in {:.1f} s: {} answered, {} refused, {} failed, {} cut to the context\n",
                  report.requests, report.seconds, report.answered, report.refused, report.failed, report.cut);
  text += fmt::format("{:<20}{:>10}{:>10}{:>10}{:>10}\n", "ms", "p50", "p90", "p99", "max");
  text += row_of("first token", report.first_s) + row_of("gap", report.gap_s) + row_of("whole answer", report.whole_s) +
          row_of("waited by client", report.waited_s);
  for (const LoadKind& kind : report.kinds) {
    text += fmt::format("{} prompts of {} tokens: {} answers began, {} are whole\n", kind.asked, kind.prompt_tokens,
                        kind.begun, kind.answered) +
            row_of("  first token", kind.first_s) + row_of("  gap", kind.gap_s);
  }
  text += fmt::format("{} tokens ({:.1f}/s) of prompts of {}, {} cached\n", report.new_tokens,
                      per_second(report.new_tokens, report.seconds), report.prompt_tokens, report.cached_tokens);
  const auto limit = [](double seconds) { return seconds > 0 ? fmt::format("{:g} ms", 1e3 * seconds) : "any"; };
  text +=
      fmt::format("good: {} requests ({:.2f}/s), first token within {}, gaps within {}\n", report.good,
                  per_second(report.good, report.seconds), limit(report.limits.first_s), limit(report.limits.gap_s));
  if (!report.first_failure.empty()) text += fmt::format("the first failure: {}\n", report.first_failure);
  return text;
}

boost::json::object to_json(const LoadReport& report) {
  boost::json::array kinds;
  for (const LoadKind& kind : report.kinds) {
    kinds.push_back({{"asked_tokens", kind.prompt_tokens},
                     {"asked", kind.asked},
                     {"begun", kind.begun},
                     {"answered", kind.answered},
                     {"first_token_ms", object_of(kind.first_s)},
                     {"gap_ms", object_of(kind.gap_s)}});
  }
  return {{"requests", report.requests},
          {"seconds", report.seconds},
          {"answered", report.answered},
          {"refused", report.refused},
          {"failed", report.failed},
          {"cut", report.cut},
          {"first_token_ms", object_of(report.first_s)},
          {"gap_ms", object_of(report.gap_s)},
          {"whole_ms", object_of(report.whole_s)},
          {"waited_ms", object_of(report.waited_s)},
          {"prompt_tokens", report.prompt_tokens},
          {"cached_tokens", report.cached_tokens},
          {"completion_tokens", report.new_tokens},
          {"tokens_per_second", per_second(report.new_tokens, report.seconds)},
          {"good", report.good},
          {"goodput_per_second", per_second(report.good, report.seconds)},
          {"by_prompt", std::move(kinds)},
          {"limits", {{"first_token_ms", 1e3 * report.limits.first_s}, {"gap_ms", 1e3 * report.limits.gap_s}}}};
}

}  // namespace incipit
