#include "import/hf/decoder_geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace incipit {
namespace {

// Far above any published model, and small enough that no product of three of them overflows 64 bits.
constexpr int64_t vocabulary_limit = 1 << 24;
constexpr int64_t layer_limit = 1 << 10;
constexpr int64_t head_limit = 1 << 14;
constexpr int64_t head_dim_limit = 256;               // what the attention kernels take
constexpr int64_t position_limit = int64_t{1} << 28;  // what an engine may have (engine/check_plan.cpp)

/// What configurations call activations.
constexpr std::pair<std::string_view, Activation> activation_words[] = {
    {"silu", Activation::silu},           {"swish", Activation::silu},
    {"gelu", Activation::gelu_erf},       {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh}, {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"relu", Activation::relu},           {"relu2", Activation::relu_squared}};

Activation read_activation(const HfConfig& config, const GeometryReading& reading) {
  if (config.mentions(reading.activation) && !config.has(reading.activation) && !reading.activation_may_be_null) {
    config.fail(fmt::format("{} is null", reading.activation), "take it from the publisher's file");
  }
  const std::string name = config.text_or(reading.activation, reading.default_activation);
  for (const auto& [word, activation] : activation_words) {
    if (word == name) return activation;
  }
  config.fail(fmt::format("{} '{}' is not supported", reading.activation, name),
              "this build computes silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu and relu2");
}

void read_heads(const HfConfig& config, const GeometryReading& reading, DecoderGeometry& geometry) {
  geometry.heads = config.integer(reading.heads, 1, head_limit);
  geometry.kv_heads = config.integer_or("num_key_value_heads", geometry.heads, 1, head_limit);
  if (geometry.heads % geometry.kv_heads != 0) {
    config.fail(fmt::format("{} {} is not a multiple of num_key_value_heads {}", reading.heads, geometry.heads,
                            geometry.kv_heads));
  }
  if (config.has("head_dim")) {
    geometry.head_dim = config.integer("head_dim", 2, head_dim_limit);
  } else if (reading.head_dim != 0) {
    geometry.head_dim = reading.head_dim;
  } else if (geometry.hidden % geometry.heads != 0) {
    config.fail(
        fmt::format("{} {} is not a multiple of {} {}", reading.hidden, geometry.hidden, reading.heads, geometry.heads),
        "give head_dim");
  } else {
    geometry.head_dim = geometry.hidden / geometry.heads;
  }
  if (geometry.head_dim % 2 != 0 || geometry.head_dim > head_dim_limit) {
    config.fail(fmt::format("head_dim is {}", geometry.head_dim),
                fmt::format("it must be even and at most {}", head_dim_limit));
  }
}

[[noreturn]] void refuse_foreign(const HfConfig& config, std::string_view key) {
  config.fail(fmt::format("{} {} is not supported for this architecture", key, config.shown(key)));
}

/// A window that an architecture does not honour passes where it is switched off or holds all positions there are.
void refuse_foreign_window(const HfConfig& config, const GeometryReading& reading, int64_t max_context) {
  constexpr std::string_view key = "sliding_window";
  const bool is_honoured = std::ranges::count(reading.honoured, key) > 0;
  if (is_honoured || !config.has(key) || !config.flag("use_sliding_window", true)) return;
  const double window = config.number(key);
  if (window > 0 && window < static_cast<double>(max_context)) refuse_foreign(config, key);
}

}  // namespace

void refuse_unsupported_options(const HfConfig& config, const std::vector<std::string_view>& honoured) {
  const auto is_honoured = [&](std::string_view key) { return std::ranges::count(honoured, key) > 0; };
  if (!is_honoured("pretraining_tp") && config.number_or("pretraining_tp", 1) != 1) {
    config.fail(fmt::format("pretraining_tp {} is not supported", config.shown("pretraining_tp")), "only 1 is");
  }
  for (const std::string& type : config.texts("layer_types")) {
    if (type == "full_attention" || (type == "sliding_attention" && is_honoured("layer_types"))) continue;
    config.fail(fmt::format("layer_types has '{}', which is not supported", type));
  }
  // Options of neighbouring architectures: each changes what a layer computes, but for one value.
  struct Foreign {
    std::string_view key;
    std::optional<double> neutral;
  };
  constexpr std::array<Foreign, 10> foreign{{{"attn_logit_softcapping", 0},
                                             {"logit_scale", 1},
                                             {"final_logit_softcapping", 0},
                                             {"query_pre_attn_scalar", {}},
                                             {"attention_multiplier", {}},
                                             {"residual_multiplier", 1},
                                             {"embedding_multiplier", 1},
                                             {"logits_scaling", 1},
                                             {"num_local_experts", 0},
                                             {"num_experts", 0}}};
  for (const auto& [key, neutral] : foreign) {
    if (!config.has(key) || is_honoured(key) || (neutral && config.number(key) == *neutral)) continue;
    refuse_foreign(config, key);
  }
  for (std::string_view key :
       {"add_cross_attention", "is_encoder_decoder", "use_qk_norm", "qk_layernorm", "use_bidirectional_attention"}) {
    if (config.flag(key, false) && !is_honoured(key)) config.fail(fmt::format("{} is not supported", key));
  }
}

DecoderGeometry read_decoder_geometry(const HfConfig& config, const ImportOptions& options,
                                      const GeometryReading& reading) {
  refuse_unsupported_options(config, reading.honoured);
  DecoderGeometry geometry;
  geometry.vocabulary = config.integer("vocab_size", 1, vocabulary_limit);
  geometry.hidden = config.integer(reading.hidden, 1, width_limit);
  geometry.layers = config.integer(reading.layers, 1, layer_limit);
  read_heads(config, reading, geometry);
  geometry.feed_forward =
      reading.feed_forward_multiple == 0
          ? config.integer(reading.feed_forward, 1, width_limit)
          : config.integer_or(reading.feed_forward, reading.feed_forward_multiple * geometry.hidden, 1, width_limit);
  const int64_t max_position =
      reading.default_max_position == 0
          ? config.integer(reading.max_position, 1, position_limit)
          : config.integer_or(reading.max_position, reading.default_max_position, 1, position_limit);
  geometry.max_position = stretched_max_position(config, max_position);
  geometry.max_context = options.max_context > 0 ? options.max_context : geometry.max_position;
  refuse_foreign_window(config, reading, geometry.max_context);
  const double epsilon = reading.default_norm_epsilon == 0
                             ? config.number(reading.norm_epsilon)
                             : config.number_or(reading.norm_epsilon, reading.default_norm_epsilon);
  if (epsilon < 0 || epsilon > 1) {
    config.fail(fmt::format("{} is {}", reading.norm_epsilon, config.shown(reading.norm_epsilon)),
                "it must lie in [0, 1]");
  }
  geometry.norm_epsilon = static_cast<float>(epsilon);
  geometry.norm = reading.norm;
  geometry.gain_offset = reading.gain_offset;
  geometry.activation = read_activation(config, reading);
  geometry.tied = config.flag("tie_word_embeddings", reading.tied);
  return geometry;
}

RopeContext rope_context(const DecoderGeometry& geometry) {
  RopeContext context;
  context.head_dim = geometry.head_dim;
  context.max_position = geometry.max_position;
  context.max_context = geometry.max_context;
  return context;
}

int64_t read_window(const HfConfig& config, const DecoderGeometry& geometry, int64_t unmentioned) {
  constexpr std::string_view key = "sliding_window";
  const int64_t window = config.mentions(key) ? config.integer_or(key, 0, 1, INT64_MAX) : unmentioned;
  return window < geometry.max_context ? window : 0;
}

std::vector<bool> read_sliding_layers(const HfConfig& config, const DecoderGeometry& geometry,
                                      const std::function<bool(int64_t layer)>& slides) {
  std::vector<bool> sliding;
  const std::vector<std::string> types = config.texts("layer_types");
  for (const std::string& type : types) sliding.push_back(type == "sliding_attention");
  if (!types.empty() && std::ssize(types) != geometry.layers) {
    config.fail(fmt::format("layer_types has {} entries for {} layers", types.size(), geometry.layers));
  }
  for (int64_t layer = std::ssize(sliding); layer < geometry.layers; ++layer) sliding.push_back(slides(layer));
  return sliding;
}

std::vector<int64_t> read_layer_windows(const HfConfig& config, const DecoderGeometry& geometry, int64_t window,
                                        const std::function<bool(int64_t layer)>& slides) {
  std::vector<int64_t> windows;
  for (const bool is_sliding : read_sliding_layers(config, geometry, slides))
    windows.push_back(is_sliding ? window : 0);
  return windows;
}

float read_multiplier(const HfConfig& config, std::string_view key) {
  const double value = config.number_or(key, 1);
  if (value < 1e-6 || value > 1e6) {
    config.fail(fmt::format("{} is {}", key, config.shown(key)), "it must lie in [1e-6, 1e6]");
  }
  return static_cast<float>(value);
}

float read_soft_cap(const HfConfig& config, std::string_view key, float unmentioned) {
  if (!config.mentions(key)) return unmentioned;
  return config.has(key) ? read_multiplier(config, key) : 0;
}

}  // namespace incipit
