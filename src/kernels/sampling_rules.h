// The arithmetic of sampling that the reference and the kernels of every device share to the last bit (sampling.h says
// what it computes). Every step is a single rounded operation or an integer one, so that no compiler can fuse it
// differently. Device code includes it as it is.
#pragma once

#include <bit>
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
  return logit > FLT_MAX ? FLT_MAX : logit == 0 ? 0.0f : logit;
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

/// A candidate as one number: the larger is the better one, equal logits are ordered by id.
inline uint64_t candidate_key(float logit, int32_t id) {
  auto bits = std::bit_cast<uint32_t>(logit);
  bits ^= (bits >> 31) != 0 ? 0xffffffffu : 0x80000000u;
  return uint64_t{bits} << 32 | static_cast<uint32_t>(~id);
}
inline float key_logit(uint64_t key) {
  auto bits = static_cast<uint32_t>(key >> 32);
  bits ^= (bits >> 31) != 0 ? 0x80000000u : 0xffffffffu;
  return std::bit_cast<float>(bits);
}
inline int32_t key_id(uint64_t key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }

/// How far a candidate lies under the best one, in units of the temperature.
inline float below_best(const SamplingParameters& parameters, float logit, float best) {
  return (logit - best) / parameters.temperature;
}

/// `below` <= 0 as y of e^below = 2^-y, in 32.32 fixed point; weightless_exponent where the weight is 0, or for NaN.
constexpr uint64_t weightless_exponent = uint64_t{41} << 32;
inline uint64_t weight_exponent(float below) {
  constexpr double log2_e = 1.4426950408889634;
  const double y = static_cast<double>(below) * (-log2_e * 0x1p32);
  return y < 41 * 0x1p32 ? static_cast<uint64_t>(y) : weightless_exponent;
}

/// 2^(40 - y), rounded down: 2^-y = 2^-whole · 2^-fraction.
inline uint64_t weight_of_exponent(uint64_t y) {
  if (y >= weightless_exponent) return 0;
  const uint64_t whole = y >> 32, fraction = y & 0xffffffff;
  // 2^-f = 2^(1 - f) / 2, so that the polynomial (the series of 2^g = e^(g ln 2), g in (0, 1], eleven terms) has only
  // positive coefficients; they carry 30 fractional bits, g carries 32.
  if (fraction == 0) return largest_sampling_weight >> whole;
  const uint64_t g = (uint64_t{1} << 32) - fraction;
  struct Coefficients {
    uint64_t values[11];
  };
  constexpr auto coefficients = [] {
    Coefficients c{};
    double term = 0x1p30;
    for (int i = 0; i < 11; ++i) {
      c.values[i] = static_cast<uint64_t>(term + 0.5);
      term *= 0.6931471805599453 / (i + 1);
    }
    return c;
  }();
  uint64_t power = coefficients.values[10];
  for (int i = 10; i-- > 0;) power = coefficients.values[i] + ((power * g) >> 32);
  return (power << 9) >> whole;
}

/// The weight of a candidate `below` <= 0 under the best logit, already divided by the temperature: e^below · 2^40,
/// rounded down, within 4e-7 of it (relative, and of the float `below`). Integer arithmetic: the same everywhere.
inline uint64_t sampling_weight(float below) { return weight_of_exponent(weight_exponent(below)); }

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

/// The uniform draw in [0, 1) for (seed, position): a counter-based generator (Philox 4×32-10), 24 bits.
inline float uniform_draw(uint64_t seed, int64_t position) {
  // Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): Philox 4×32, ten rounds.
  uint32_t counter[4] = {static_cast<uint32_t>(position), static_cast<uint32_t>(static_cast<uint64_t>(position) >> 32),
                         0, 0};
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter[0] = static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<uint32_t>(b);
    counter[2] = static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<uint32_t>(a);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return static_cast<float>(counter[0] >> 8) * 0x1p-24f;
}

/// The drawn token is the first, by id, whose running sum of weights reaches this.
inline uint64_t drawn_weight(const SamplingParameters& parameters, int64_t position, uint64_t total) {
  const auto draw = static_cast<uint64_t>(uniform_draw(parameters.seed, position) * 0x1p24f);
  // total · draw / 2^24, rounded down; the product may have more than 64 bits.
  return (total >> 24) * draw + (((total & 0xffffff) * draw) >> 24) + 1;
}

}  // namespace incipit
