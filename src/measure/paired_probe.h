// Two engines beside each other, in the same minute: the times of the newer one as parts of those of the older one.
// Each pair of times is measured one right after the other, in the order ABBA, so that a machine that becomes slower
// meanwhile slows both.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "session/gateway.h"

namespace incipit {

enum class PaceVerdict : uint8_t {
  faster_or_equal,  // the ratio is at most the bound, surely
  slower,           // it is above, surely
  inconclusive
};
std::string_view name_of(PaceVerdict verdict);

/// Pair i: how long the older engine took for something, and the newer one.
struct PairedTimes {
  std::vector<double> older, newer;  // ms
};

struct Pace {
  double older_ms = 0, newer_ms = 0;  // medians
  double ratio = 0;                   // the median of the pairs'
  double low = 0, high = 0;           // between which the true median ratio is, of 100 times in 99; low = 0: unknown
  int32_t pairs = 0;
  PaceVerdict verdict = PaceVerdict::inconclusive;
};

/// By order statistics of the pairs' ratios, which ask for no distribution of the times: that the median lies below the
/// k-th smallest of n is as likely as fewer than k heads of n coins. Fewer than 8 pairs say nothing.
Pace judge(const PairedTimes& times, double bound);

struct PairedOptions {
  double bound = 1.10;                 // of newer / older
  int32_t least_pairs = 12;            // then twice as many, and so on, until it is told, up to
  int32_t most_pairs = 96;             //
  double seconds = 30;                 // for one size, about; 8 pairs are measured always
  int32_t decode_tokens = 32;          // 0: decoding is not timed
  std::chrono::seconds patience{120};  // with a request that others do not let through; then it is inconclusive
};

struct PairedResult {
  std::string kind;    // "ttft": a prompt's first token; "decode": a token after it
  int32_t tokens = 0;  // of the prompt; or decoded
  Pace pace;
};

/// What is measured: prompts as long as the newer engine's buckets, as far as both contexts go.
std::vector<int32_t> paired_prompts(const Gateway& older, const Gateway& newer);

/// Times both by ordinary requests of the batch class, so that others are not held up. `advance` is told of each size
/// that is done. Throws Error where one of them computes nothing (its logits are no numbers); and on Ctrl-C.
std::vector<PairedResult> probe_pairs(Gateway& older, Gateway& newer, const PairedOptions& options,
                                      const std::function<void()>& advance = {});

}  // namespace incipit
