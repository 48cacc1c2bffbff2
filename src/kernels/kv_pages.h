// How many pages of a cache group a sequence holds, and how far apart they are: the build bounds memory by it, the run
// time sizes its pools.
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

/// Bytes from one page of a pool to the next. Pages that are a multiple of 64 KiB apart have the same head in the same
/// places of a second-level cache, which then holds sixteen pages of it however large it is.
constexpr int64_t kv_page_pitch(int64_t page_bytes) { return page_bytes % 65536 == 0 ? page_bytes + 4096 : page_bytes; }

}  // namespace incipit
