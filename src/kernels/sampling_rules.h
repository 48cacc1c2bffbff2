// The arithmetic of sampling that the reference and the kernels must share to the last bit (sampling.h says what it
// computes). Every step is a single rounded operation or an integer one, so that no compiler can fuse it differently.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/sampling.h"

namespace incipit {

constexpr float no_logit = -std::numeric_limits<float>::infinity();

/// NaN becomes −infinity, +infinity the largest float, −0 becomes 0.
inline float ordered_logit(float logit) {
  if (!(logit > no_logit)) return no_logit;
  return logit > FLT_MAX ? FLT_MAX : logit + 0.0f;
}

/// The penalties of a token that occurred `prompt` and `generated` times.
inline float penalized(const SamplingParameters& parameters, float logit, int32_t prompt, int32_t generated) {
  if (prompt + generated == 0 || logit == no_logit) return logit;
  logit = logit > 0 ? logit / parameters.repetition_penalty : logit * parameters.repetition_penalty;
  if (generated > 0) {
    logit = std::fma(static_cast<float>(-generated), parameters.frequency_penalty, logit);
    logit = logit - parameters.presence_penalty;
  }
  return ordered_logit(logit);
}

inline bool has_penalties(const SamplingParameters& parameters) {
  return parameters.repetition_penalty != 1 || parameters.frequency_penalty != 0 || parameters.presence_penalty != 0;
}

/// How far a candidate lies under the best one, in units of the temperature.
inline float below_best(const SamplingParameters& parameters, float logit, float best) {
  return (logit - best) / parameters.temperature;
}

/// The least sum of weights that reaches top_p of `total`; at least 1, so that the best candidate stays.
inline uint64_t top_p_weight(const SamplingParameters& parameters, uint64_t total) {
  const double wanted = std::ceil(static_cast<double>(parameters.top_p) * static_cast<double>(total));
  return wanted < 1 ? 1 : wanted > static_cast<double>(total) ? total : static_cast<uint64_t>(wanted);
}

/// The best candidate always passes.
inline bool passes_min_p(const SamplingParameters& parameters, uint64_t weight) {
  return weight == largest_sampling_weight ||
         static_cast<double>(weight) >=
             static_cast<double>(parameters.min_p) * static_cast<double>(largest_sampling_weight);
}

/// The drawn token is the first, by id, whose running sum of weights reaches this.
inline uint64_t drawn_weight(const SamplingParameters& parameters, int64_t position, uint64_t total) {
  const auto draw = static_cast<uint64_t>(uniform_draw(parameters.seed, position) * 0x1p24f);
  return static_cast<uint64_t>((static_cast<unsigned __int128>(total) * draw) >> 24) + 1;
}

}  // namespace incipit
