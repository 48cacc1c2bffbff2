// What came of a replay.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "load/load_report.h"
#include "measure/replay.h"

namespace incipit {

/// Times of both engines, in seconds.
struct ReplayTimes {
  std::string name;
  int64_t count = 0;  // of the first engine's
  Percentiles a, b;
  double paired = 0;  // the median of B's time over A's for the same item; 0: there are no pairs
};

struct ReplayReport {
  int32_t requests = 0, rebuilt = 0, cut = 0, context = 0;
  int64_t asked = 0, done = 0;     // choices
  std::vector<ReplayTimes> first;  // of all prompts, and by their lengths, the shortest first
  ReplayTimes gap;                 // between tokens
  int64_t failures[2] = {0, 0};
  std::string first_failure[2];
  int64_t cached_tokens[2] = {0, 0}, new_tokens[2] = {0, 0};
  int64_t compared = 0, same = 0;  // texts
  struct Difference {
    size_t line = 0, choice = 0;
    int64_t token = 0;
  };
  std::vector<Difference> differences;  // in the order of the record
};

/// `asked`: items of the plan. Times are of answers that both engines gave whole.
ReplayReport make_report(const ReplayPlan& plan, std::span<const ReplayPair> pairs, int32_t context);

std::string describe(const ReplayReport& report);
boost::json::object to_json(const ReplayReport& report);

}  // namespace incipit
