#include "import/hf/rope.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace incipit {
namespace {

/// Wide enough for any sense, narrow enough that every frequency is a finite float.
double ratio(const HfConfig& config, std::string_view key) {
  constexpr double smallest = 1e-3, largest = 1e12;
  const double value = config.number(key);
  if (value < smallest || value > largest) {
    config.fail(fmt::format("{} is {}", key, config.shown(key)), "it must lie in [0.001, 1e12]");
  }
  return value;
}

}  // namespace

RopeParameters read_rope_parameters(const HfConfig& config) {
  // Transformers lets the older key win where both are given.
  const HfConfig rope = config.object(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters");
  RopeParameters parameters;
  parameters.kind = rope.text_or("rope_type", rope.text_or("type", "default"));
  if (rope.has("full_attention") || rope.has("sliding_attention")) {
    rope.fail("full_attention: rotary parameters by layer type are not supported");
  }
  if (rope.has("rope_theta")) {
    parameters.theta = ratio(rope, "rope_theta");
  } else if (config.has("rope_theta")) {
    parameters.theta = ratio(config, "rope_theta");
  }
  for (const HfConfig* place : {&rope, &config}) {
    if (place->number_or("partial_rotary_factor", 1) != 1) {
      place->fail(fmt::format("partial_rotary_factor is {}", place->shown("partial_rotary_factor")),
                  "this architecture is supported with 1 only");
    }
  }
  if (parameters.kind == "default") return parameters;
  if (parameters.kind == "linear") {
    parameters.factor = ratio(rope, "factor");
    return parameters;
  }
  if (parameters.kind == "llama3") {
    parameters.factor = ratio(rope, "factor");
    parameters.low_frequency_factor = ratio(rope, "low_freq_factor");
    parameters.high_frequency_factor = ratio(rope, "high_freq_factor");
    parameters.original_max_position = ratio(rope, "original_max_position_embeddings");
    if (parameters.high_frequency_factor <= parameters.low_frequency_factor) {
      rope.fail(fmt::format("high_freq_factor {} is not above low_freq_factor {}", parameters.high_frequency_factor,
                            parameters.low_frequency_factor));
    }
    return parameters;
  }
  rope.fail(fmt::format("rope_type '{}' is not supported", parameters.kind),
            "this build reads default, linear and llama3");
}

Rope make_rope(const RopeParameters& parameters, int64_t head_dim) {
  INCIPIT_ASSERT(head_dim % 2 == 0);
  const int64_t pairs = head_dim / 2;
  Rope rope;
  rope.inverse_frequencies.resize(static_cast<size_t>(pairs));
  const auto factor = static_cast<float>(parameters.factor);
  const auto theta = static_cast<float>(parameters.theta);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(head_dim);
    // In double and rounded once: the nearest float to the power, which float32 libraries miss by an ulp at most.
    const auto period = static_cast<float>(std::pow(static_cast<double>(theta), static_cast<double>(exponent)));
    float frequency = 1.0F / period;
    if (parameters.kind == "linear") {
      frequency /= factor;
    } else if (parameters.kind == "llama3") {
      const auto original = static_cast<float>(parameters.original_max_position);
      const auto low = static_cast<float>(parameters.low_frequency_factor);
      const auto high = static_cast<float>(parameters.high_frequency_factor);
      // Reciprocal, then product: how the original's `2π / tensor` and `original / tensor` round.
      const float wavelength = (1.0F / frequency) * static_cast<float>(2 * std::numbers::pi);
      if (wavelength > original / low) {
        frequency /= factor;
      } else if (wavelength >= original / high) {
        const float smooth = ((1.0F / wavelength) * original - low) / (high - low);
        frequency = (1 - smooth) * frequency / factor + smooth * frequency;
      }
    }
    rope.inverse_frequencies[static_cast<size_t>(pair)] = frequency;
  }
  return rope;
}

}  // namespace incipit
