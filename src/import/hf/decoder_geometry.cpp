#include "import/hf/decoder_geometry.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace incipit {
namespace {

// Far above any published model, and small enough that no product of three of them overflows 64 bits.
constexpr int64_t vocabulary_limit = 1 << 24;
constexpr int64_t width_limit = 1 << 20;
constexpr int64_t layer_limit = 1 << 10;
constexpr int64_t head_limit = 1 << 14;
constexpr int64_t head_dim_limit = 256;               // what the attention kernels take
constexpr int64_t position_limit = int64_t{1} << 28;  // what an engine may have (engine/check_plan.cpp)

std::string read_activation(const HfConfig& config) {
  const std::string name = config.text_or("hidden_act", "silu");
  if (name == "silu" || name == "swish") return "silu";
  if (name == "gelu") return "gelu_erf";
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return "gelu_tanh";
  if (name == "relu") return "relu";
  config.fail(fmt::format("hidden_act '{}' is not supported", name),
              "this build computes silu, gelu, gelu_new, gelu_pytorch_tanh and relu");
}

}  // namespace

void refuse_unsupported_options(const HfConfig& config) {
  if (config.has("quantization_config")) {
    const std::string method = config.object("quantization_config").text_or("quant_method", "of an unknown method");
    config.fail(fmt::format("quantization_config is present: the checkpoint is already quantised ({})", method),
                "give the unquantised checkpoint and choose --precision");
  }
  if (config.number_or("pretraining_tp", 1) != 1) {
    config.fail(fmt::format("pretraining_tp {} is not supported", config.shown("pretraining_tp")), "only 1 is");
  }
  for (const std::string& type : config.texts("layer_types")) {
    if (type != "full_attention") config.fail(fmt::format("layer_types has '{}', which is not supported", type));
  }
  // Options of neighbouring architectures: each changes what a layer computes.
  constexpr std::array<std::string_view, 6> absent{"attn_logit_softcapping", "final_logit_softcapping",
                                                   "query_pre_attn_scalar",  "attention_multiplier",
                                                   "num_local_experts",      "num_experts"};
  for (std::string_view key : absent) {
    if (config.has(key)) config.fail(fmt::format("{} {} is not supported", key, config.shown(key)));
  }
  for (std::string_view key : {"add_cross_attention", "is_encoder_decoder", "use_qk_norm"}) {
    if (config.flag(key, false)) config.fail(fmt::format("{} is not supported", key));
  }
}

DecoderGeometry read_decoder_geometry(const HfConfig& config) {
  refuse_unsupported_options(config);
  DecoderGeometry geometry;
  geometry.vocabulary = config.integer("vocab_size", 1, vocabulary_limit);
  geometry.hidden = config.integer("hidden_size", 1, width_limit);
  geometry.layers = config.integer("num_hidden_layers", 1, layer_limit);
  geometry.heads = config.integer("num_attention_heads", 1, head_limit);
  geometry.kv_heads = config.integer_or("num_key_value_heads", geometry.heads, 1, head_limit);
  if (geometry.heads % geometry.kv_heads != 0) {
    config.fail(fmt::format("num_attention_heads {} is not a multiple of num_key_value_heads {}", geometry.heads,
                            geometry.kv_heads));
  }
  if (!config.has("head_dim") && geometry.hidden % geometry.heads != 0) {
    config.fail(
        fmt::format("hidden_size {} is not a multiple of num_attention_heads {}", geometry.hidden, geometry.heads),
        "give head_dim");
  }
  geometry.head_dim =
      config.has("head_dim") ? config.integer("head_dim", 2, head_dim_limit) : geometry.hidden / geometry.heads;
  if (geometry.head_dim % 2 != 0 || geometry.head_dim > head_dim_limit) {
    config.fail(fmt::format("head_dim is {}", geometry.head_dim),
                fmt::format("it must be even and at most {}", head_dim_limit));
  }
  geometry.feed_forward = config.integer("intermediate_size", 1, width_limit);
  geometry.max_position = config.integer("max_position_embeddings", 1, position_limit);
  const double epsilon = config.number("rms_norm_eps");
  if (epsilon < 0 || epsilon > 1) {
    config.fail(fmt::format("rms_norm_eps is {}", config.shown("rms_norm_eps")), "it must lie in [0, 1]");
  }
  geometry.norm_epsilon = static_cast<float>(epsilon);
  geometry.activation = read_activation(config);
  geometry.rope = read_rope_parameters(config);
  geometry.tied = config.flag("tie_word_embeddings", false);
  return geometry;
}

}  // namespace incipit
