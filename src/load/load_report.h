// What came of a load.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace incipit {

/// One request, in seconds.
struct LoadResult {
  int status = 0;              // of HTTP; 0: there was no answer
  std::string failure;         // why there was none, or none whole; empty: it is whole
  double waited_s = 0;         // by the client: from when it was due to when its connection was open
  double first_s = -1;         // from then to the first text or id; −1: none came
  double whole_s = 0;          // from then to the end
  std::vector<double> gaps_s;  // between pieces with text or ids
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  int32_t asked_tokens = 0;  // of the prompt, by the client's count
};

struct LoadLimits {
  double first_s = 0, gap_s = 0;  // 0: none
};

struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0, most = 0;
};

/// By nearest rank; zeros where there are no values.
Percentiles percentiles_of(std::vector<double> values);

/// Prompts of one length. Times are of all answers that began, whole or not: a load may be ended early.
struct LoadKind {
  int32_t prompt_tokens = 0, asked = 0, begun = 0, answered = 0;
  Percentiles first_s, gap_s;
};

struct LoadReport {
  int32_t requests = 0, answered = 0, refused = 0, failed = 0, cut = 0;
  double seconds = 0;
  Percentiles first_s, gap_s, whole_s, waited_s;  // of what was answered; waited: of all
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  LoadLimits limits;
  int32_t good = 0;  // answered, and no wait for a token longer than the limits
  std::string first_failure;
  std::vector<LoadKind> kinds;  // the shortest first; empty where there is one length, or more than a table is for
};

/// Refused are answers 429 and 503; what else is no whole answer has failed.
LoadReport make_report(std::span<const LoadResult> results, double seconds, int32_t cut, const LoadLimits& limits);

std::string describe(const LoadReport& report);
boost::json::object to_json(const LoadReport& report);

}  // namespace incipit
