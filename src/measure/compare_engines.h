// Two engines on one text: how likely each finds it, and how far apart their distributions are.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "session/gateway.h"

namespace incipit {

struct CompareOptions {
  int32_t window = 512;  // tokens; as of evaluate_perplexity
  int32_t passage = 32;  // tokens whose divergence is told together
  size_t worst = 5;      // passages that are kept
};

struct EngineComparison {
  struct Passage {
    int64_t first = 0, tokens = 0;  // the tokens that were predicted, counted in the text
    double mean_kl = 0;
  };

  double reference_perplexity = 0, perplexity = 0;
  int64_t tokens = 0;                           // predicted
  double mean_kl = 0, p99_kl = 0, most_kl = 0;  // of the tokens' distributions, the reference's first
  int64_t same_choice = 0;                      // tokens where both find the same one the likeliest
  std::vector<Passage> worst;                   // largest divergence first

  /// Of the perplexity, as a share of the reference's.
  double change() const { return perplexity / reference_perplexity - 1; }
};

/// The engines step in turns, so that the logits of some tokens are all that is held of them. `advance(tokens)` hears
/// of progress. Throws Error where vocabularies differ, the text does not fill a window, a context does not hold one,
/// or logits are not finite; and on Ctrl-C.
EngineComparison compare_engines(Gateway& reference, Gateway& other, std::span<const int32_t> tokens,
                                 const CompareOptions& options, const std::function<void(int64_t)>& advance);

}  // namespace incipit
