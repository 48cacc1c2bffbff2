// Whether an engine is ready: every bucket has run, and its first tokens come as soon as its baseline says.
#pragma once

#include <cstdint>
#include <vector>

#include "session/gateway.h"

namespace incipit {

/// A prompt's first token beside the engine's own baseline.
struct FirstTokenCheck {
  int32_t tokens = 0;  // of the prompt
  double ms = 0;       // the least of some runs
  double baseline_ms = 0;
  bool is_late(double tolerance) const { return ms > tolerance * baseline_ms + 1; }  // 1 ms: a clock's and a wake's
};

/// The first tokens that the newest baseline of this machine and so many threads has; empty where the engine has none.
std::vector<FirstTokenCheck> baseline_of(const Gateway& gateway);

/// Runs the longest prompt of each bucket once, so that nothing is met for the first time by a request, and the
/// baseline's prompts until one of three runs is no more than `tolerance` times as long. Ctrl-C throws.
std::vector<FirstTokenCheck> warm(Gateway& gateway, double tolerance);

}  // namespace incipit
