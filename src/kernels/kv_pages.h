// How many pages of a cache group a sequence holds: the build bounds memory by it, the run time sizes its pools.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/layout.h"

namespace incipit {

/// Pages that a sequence of `tokens` tokens holds at most, when no step has more than `step_tokens` of them. Pages
/// behind the window (0: none) are given back: a step's first query sees `window` positions, its own among them, which
/// begin anywhere in a page.
constexpr int64_t most_kv_pages(int64_t page_tokens, int64_t window, int64_t tokens, int64_t step_tokens) {
  const int64_t all = round_up(tokens, page_tokens) / page_tokens;
  if (window == 0) return all;
  const int64_t seen = window + step_tokens - 1;
  return std::min(all, round_up(seen - 1, page_tokens) / page_tokens + 1);
}

}  // namespace incipit
