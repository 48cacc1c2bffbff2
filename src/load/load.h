// A load: requests for streams to one server, by their moments or by users, and what came of each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "load/arrivals.h"
#include "load/load_report.h"
#include "load/streamed_request.h"

namespace incipit {

struct LoadOptions {
  LoadTarget target;
  std::string key, model;  // empty: none
  std::vector<Arrival> arrivals;
  int32_t users = 0;           // 0: requests are sent when they are due; else so many ask, each one after another
  int32_t most_at_once = 512;  // of those that are due: others wait, which is the client's
  double speed = 1;            // of the arrivals' clock
  uint64_t seed = 0;
  int32_t first_id = 100, last_id = 4000;  // prompts are of ids in [first, last)
  double timeout_s = 600;
};

struct LoadOutcome {
  std::vector<LoadResult> results;  // of those that were asked, in the order of their ends
  double seconds = 0;
};

/// The context that the server names for a model (`max_model_len`), and its name where `model` is empty. Throws Error
/// where there is no such server or model, and where it does not answer in time.
struct LoadModel {
  std::string name;
  int32_t context = 0;  // 0: it does not say
};
LoadModel ask_for_model(const LoadOptions& options);

/// `tell` hears of the number of results, now and then; when it returns false, what runs is given up. Throws Error for
/// an address that is none.
LoadOutcome run_load(const LoadOptions& options, const std::function<bool(size_t)>& tell);

}  // namespace incipit
