#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
namespace incipit {

float uniform_draw(uint64_t seed, int64_t position) {
  // Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): Philox 4×32, ten rounds.
  uint32_t counter[4] = {static_cast<uint32_t>(position), static_cast<uint32_t>(static_cast<uint64_t>(position) >> 32),
                         0, 0};
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    std::copy_n(next, 4, counter);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return static_cast<float>(counter[0] >> 8) * 0x1p-24f;
}

uint64_t sampling_weight(float below) {
  // e^below = 2^-y, y = below · −log2 e in 32.32 fixed point; 2^-y = 2^-whole · 2^-fraction.
  constexpr double log2_e = 1.4426950408889634;
  const double y = static_cast<double>(below) * (-log2_e * 0x1p32);
  if (!(y < 41 * 0x1p32)) return 0;
  const auto fixed = static_cast<uint64_t>(y);
  const uint64_t whole = fixed >> 32, fraction = fixed & 0xffffffff;
  // 2^-f = 2^(1 - f) / 2, so that the polynomial (the series of 2^g = e^(g ln 2), g in (0, 1], eleven terms) has only
  // positive coefficients; they carry 30 fractional bits, g carries 32.
  if (fraction == 0) return largest_sampling_weight >> whole;
  const uint64_t g = (uint64_t{1} << 32) - fraction;
  constexpr auto coefficients = [] {
    std::array<uint64_t, 11> c{};
    double term = 0x1p30;
    for (size_t i = 0; i < c.size(); ++i) {
      c[i] = static_cast<uint64_t>(term + 0.5);
      term *= 0.6931471805599453 / static_cast<double>(i + 1);
    }
    return c;
  }();
  uint64_t power = coefficients.back();
  for (size_t i = coefficients.size() - 1; i-- > 0;) power = coefficients[i] + ((power * g) >> 32);
  return (power << 9) >> whole;
}

}  // namespace incipit
