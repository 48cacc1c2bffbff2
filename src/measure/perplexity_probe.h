// How likely two engines find a text, computed by ordinary requests, so that both may serve others meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "session/gateway.h"

namespace incipit {

struct ProbedPerplexity {
  double value = 0;
  int64_t tokens = 0;  // that were predicted
};

/// As evaluate_perplexity, over windows of the tokens; infinite where a token of them has no probability. Nothing where
/// the engine does not come to it until then. Throws Error as windows_of, where logits are no numbers, and on Ctrl-C.
std::optional<ProbedPerplexity> probe_perplexity(Gateway& gateway, std::span<const int32_t> tokens, int32_t window,
                                                 std::chrono::steady_clock::time_point until);

}  // namespace incipit
