#include "measure/replay_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

namespace incipit {
namespace {

constexpr int32_t length_bounds[] = {128, 512, 2048, 8192};  // tokens of prompts
constexpr size_t told_differences = 8;

struct BothTimes {
  std::vector<double> a, b, ratios;

  void add(double of_a, double of_b) {
    a.push_back(of_a);
    b.push_back(of_b);
    if (of_a > 0) ratios.push_back(of_b / of_a);
  }
  ReplayTimes summary(std::string name) && {
    const auto count = std::ssize(a);
    return {std::move(name), count, percentiles_of(std::move(a)), percentiles_of(std::move(b)),
            percentiles_of(std::move(ratios)).p50};
  }
};

size_t length_class(int32_t tokens) {
  return static_cast<size_t>(std::ranges::lower_bound(length_bounds, tokens) - std::begin(length_bounds));
}

std::string name_of_length(size_t place) {
  if (place < std::size(length_bounds)) return fmt::format("to {} tokens", length_bounds[place]);
  return fmt::format("over {} tokens", length_bounds[place - 1]);
}

std::optional<double> ratio(double of_b, double of_a) { return of_a > 0 ? std::optional(of_b / of_a) : std::nullopt; }

std::string cell(std::optional<double> value) {
  return value ? fmt::format("{:>8.3f}", *value) : fmt::format("{:>8}", "-");
}

std::string row_of_times(const ReplayTimes& times) {
  std::string row = fmt::format("{:<24}{:>7}", times.name, times.count);
  for (const Percentiles* of : {&times.a, &times.b}) {
    row += fmt::format(" |{:>9.2f}{:>9.2f}{:>9.2f}", 1e3 * of->p50, 1e3 * of->p90, 1e3 * of->p99);
  }
  return row + fmt::format(" |{}{}{}{}\n", cell(ratio(times.b.p50, times.a.p50)), cell(ratio(times.b.p90, times.a.p90)),
                           cell(ratio(times.b.p99, times.a.p99)),
                           cell(times.paired > 0 ? std::optional(times.paired) : std::nullopt));
}

boost::json::value number_or_null(std::optional<double> value) {
  return value ? boost::json::value(*value) : boost::json::value(nullptr);
}

boost::json::object object_of_times(const ReplayTimes& times) {
  const auto ms = [](const Percentiles& of) {
    return boost::json::object{{"p50", 1e3 * of.p50}, {"p90", 1e3 * of.p90}, {"p99", 1e3 * of.p99}};
  };
  return {{"name", times.name},
          {"count", times.count},
          {"a_ms", ms(times.a)},
          {"b_ms", ms(times.b)},
          {"b_over_a",
           {{"p50", number_or_null(ratio(times.b.p50, times.a.p50))},
            {"p90", number_or_null(ratio(times.b.p90, times.a.p90))},
            {"p99", number_or_null(ratio(times.b.p99, times.a.p99))},
            {"paired", number_or_null(times.paired > 0 ? std::optional(times.paired) : std::nullopt)}}}};
}

double share_of(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

ReplayReport make_report(const ReplayPlan& plan, std::span<const ReplayPair> pairs, int32_t context) {
  ReplayReport report;
  report.requests = plan.requests;
  report.rebuilt = plan.rebuilt;
  report.cut = plan.cut;
  report.context = context;
  report.asked = std::ssize(plan.items);
  report.done = std::ssize(pairs);
  BothTimes all, gaps, by_length[std::size(length_bounds) + 1];
  for (const ReplayPair& pair : pairs) {
    const ReplayAnswer &a = pair.answers[0], &b = pair.answers[1];
    for (const size_t engine : {0, 1}) {
      const ReplayAnswer& answer = pair.answers[engine];
      report.cached_tokens[engine] += answer.cached_tokens;
      report.new_tokens[engine] += answer.new_tokens;
      if (answer.failure.empty()) continue;
      if (report.failures[engine]++ == 0) report.first_failure[engine] = answer.failure;
    }
    if (!pair.compared()) continue;
    ++report.compared;
    if (pair.differs_at < 0) {
      ++report.same;
    } else {
      report.differences.push_back({pair.line, pair.choice, pair.differs_at});
    }
    if (a.first_s >= 0 && b.first_s >= 0) {
      all.add(a.first_s, b.first_s);
      by_length[length_class(pair.prompt_tokens)].add(a.first_s, b.first_s);
    }
    gaps.a.insert(gaps.a.end(), a.gaps_s.begin(), a.gaps_s.end());
    gaps.b.insert(gaps.b.end(), b.gaps_s.begin(), b.gaps_s.end());
  }
  report.first.push_back(std::move(all).summary("first token"));
  for (size_t place = 0; place < std::size(by_length); ++place) {
    if (by_length[place].a.empty()) continue;
    report.first.push_back(std::move(by_length[place]).summary(name_of_length(place)));
  }
  report.gap = std::move(gaps).summary("gap");
  return report;
}

std::string describe(const ReplayReport& report) {
  std::string text = fmt::format("{} requests with {} choices, {} of them done by both engines; {} cut to {} tokens\n",
                                 report.requests, report.asked, report.done, report.cut, report.context);
  if (report.rebuilt > 0) {
    text += fmt::format("prompts of {} requests were recorded as digests: theirs are of random ids\n", report.rebuilt);
  }
  text += fmt::format("{:<24}{:>7} |{:>9}{:>9}{:>9} |{:>9}{:>9}{:>9} |{:>8}{:>8}{:>8}{:>8}\n", "ms", "count", "A p50",
                      "p90", "p99", "B p50", "p90", "p99", "B/A p50", "p90", "p99", "paired");
  for (size_t i = 0; i < report.first.size(); ++i) {
    ReplayTimes times = report.first[i];
    if (i > 0) times.name = "  " + times.name;
    text += row_of_times(times);
  }
  text += row_of_times(report.gap);
  text += fmt::format("tokens    A {} new, {} of prompts cached; B {} new, {} cached\n", report.new_tokens[0],
                      report.cached_tokens[0], report.new_tokens[1], report.cached_tokens[1]);
  text += fmt::format("failures  A {}, B {}\n", report.failures[0], report.failures[1]);
  for (const size_t engine : {0, 1}) {
    if (report.failures[engine] == 0) continue;
    text += fmt::format("          the first of {}: {}\n", engine == 0 ? 'A' : 'B', report.first_failure[engine]);
  }
  text += fmt::format("texts     {} of {} are the same ({:.1f} %)\n", report.same, report.compared,
                      100 * share_of(report.same, report.compared));
  for (size_t i = 0; i < std::min(told_differences, report.differences.size()); ++i) {
    const ReplayReport::Difference& one = report.differences[i];
    text += fmt::format("          line {}, choice {}: another token {}\n", one.line, one.choice, one.token);
  }
  if (report.differences.size() > told_differences) {
    text += fmt::format("          and {} more\n", report.differences.size() - told_differences);
  }
  return text;
}

boost::json::object to_json(const ReplayReport& report) {
  boost::json::array first, differences;
  for (const ReplayTimes& times : report.first) first.push_back(object_of_times(times));
  for (const ReplayReport::Difference& one : report.differences) {
    differences.push_back({{"line", one.line}, {"choice", one.choice}, {"token", one.token}});
  }
  const auto engine = [&](size_t at) {
    return boost::json::object{
        {"failures", report.failures[at]},
        {"first_failure",
         report.first_failure[at].empty() ? boost::json::value(nullptr) : boost::json::value(report.first_failure[at])},
        {"cached_tokens", report.cached_tokens[at]},
        {"completion_tokens", report.new_tokens[at]}};
  };
  return {{"requests", report.requests},
          {"choices", report.asked},
          {"done", report.done},
          {"cut", report.cut},
          {"context", report.context},
          {"rebuilt", report.rebuilt},
          {"first_token", std::move(first)},
          {"gap", object_of_times(report.gap)},
          {"a", engine(0)},
          {"b", engine(1)},
          {"texts",
           {{"compared", report.compared},
            {"same", report.same},
            {"share", share_of(report.same, report.compared)},
            {"differences", std::move(differences)}}}};
}

}  // namespace incipit
