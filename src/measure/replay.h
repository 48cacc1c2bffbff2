// Recorded requests on two engines: how soon each answers, and whether both say the same.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "measure/request_record.h"
#include "session/gateway.h"

namespace incipit {

struct ReplayOptions {
  double speed = 1;         // how many times as fast requests come
  bool one_by_one = false;  // each request when the one before it has ended
};

/// What both engines hold.
struct ReplayLimits {
  int32_t context = 0, vocabulary = 0;
};

/// One choice of a recorded request.
struct ReplayItem {
  size_t line = 0, choice = 0;  // where it was recorded
  double due_s = 0;             // after its turn's begin
  Request request;
  size_t parent = 0;  // the item that is the first choice of the same prompt
};

struct ReplayPlan {
  std::vector<ReplayItem> items;
  /// Items that one engine has before the other one has them: [turns[i], turns[i + 1]).
  std::vector<size_t> turns;
  int32_t requests = 0;
  int32_t cut = 0;      // choices that the context does not hold
  int32_t rebuilt = 0;  // requests whose prompts were recorded as digests
};

/// Prompts that were recorded as digests are made of random ids, those of equal digests alike; their answers go on for
/// as many tokens as were recorded. A turn ends where no recorded request ran, or after ten seconds of the replay: what
/// disturbs the machine for longer meets both engines.
ReplayPlan plan_replay(std::vector<RecordedRequest> requests, const ReplayLimits& limits, const ReplayOptions& options);

/// What an engine made of an item.
struct ReplayAnswer {
  double first_s = -1;  // from its submission to its first token; −1: none came
  std::vector<double> gaps_s;
  int32_t cached_tokens = 0, new_tokens = 0;
  std::string failure;  // why it has no whole answer
};

/// An item that both engines are done with.
struct ReplayPair {
  size_t line = 0, choice = 0;
  int32_t prompt_tokens = 0;
  std::array<ReplayAnswer, 2> answers;
  int64_t differs_at = -1;  // the first token that is another one, or that one engine alone has; −1: none is
  bool compared() const { return answers[0].failure.empty() && answers[1].failure.empty(); }
};

/// The engines have each turn one after the other, and begin it by turns. `advance` hears how many more items are done.
/// Ends early, with what was done, on Ctrl-C. Throws what Gateway::check throws.
std::vector<ReplayPair> replay(const ReplayPlan& plan, std::array<Gateway*, 2> engines, const ReplayOptions& options,
                               const std::function<void(int64_t)>& advance);

}  // namespace incipit
