// Rotary position embedding (Su et al., 2021): the references of ops and of kernels call it. CUDA has a thread for an
// angle, and forms it by this too.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

namespace incipit {

/// By what cosines and sines are multiplied: `factor`, and what queries grow by with their position, so that softmax
/// stays as sharp over long contexts (Llama 4 and Ministral 3): 1 + growth · ln(1 + ⌊position / length⌋).
struct RotaryFactor {
  float factor = 1, growth = 0;
  int64_t growth_length = 1;  // positions, at least 1

  double at(int64_t position) const {
    const int64_t lengths = position / growth_length;
    return factor * (growth == 0 ? 1 : 1 + double{growth} * std::log(1 + static_cast<double>(lengths)));
  }
};

/// Exact: 31 bits of position times 24 bits of frequency, to two bits more than a double holds. So what reduces it to
/// a circle must be the library's own.
inline double rotary_angle(int32_t position, float frequency) {
  return static_cast<double>(position) * static_cast<double>(frequency);
}

/// The cosines of a position's angles, then their sines; `row` has two elements a frequency.
inline void rotary_row(int32_t position, std::span<const float> frequencies, const RotaryFactor& factor,
                       std::span<float> row) {
  const double scale = factor.at(position);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = rotary_angle(position, frequencies[i]);
    row[i] = static_cast<float>(scale * std::cos(angle));
    row[frequencies.size() + i] = static_cast<float>(scale * std::sin(angle));
  }
}

/// Turns the first pairs of a head by a row of cosines and sines. A pair is two halves' elements, or two neighbours
/// where they are interleaved. Sums are formed in double.
inline void rotate_head(std::span<float> head, std::span<const float> row, bool interleaved) {
  const size_t pairs = row.size() / 2;
  for (size_t i = 0; i < pairs; ++i) {
    float& first = head[interleaved ? 2 * i : i];
    float& second = head[interleaved ? 2 * i + 1 : pairs + i];
    const double x = first, y = second, cosine = row[i], sine = row[pairs + i];
    first = static_cast<float>(x * cosine - y * sine);
    second = static_cast<float>(y * cosine + x * sine);
  }
}

}  // namespace incipit
