// The sizes that all decoders have, as read from a config and checked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/activation.h"
#include "import/hf/config.h"
#include "import/hf/rope.h"
#include "import/import.h"

namespace incipit {

/// Widths of layers: far above any published model, and small enough that no product of three of them overflows 64
/// bits.
constexpr int64_t width_limit = 1 << 20;

/// What norms a decoder has. Layer norms may be stored without a bias.
enum class NormKind : uint8_t { rms, layer, layer_without_bias };

struct DecoderGeometry {
  int64_t vocabulary = 0, hidden = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;  // heads a multiple of kv_heads; head_dim even
  int64_t feed_forward = 0;
  int64_t max_position = 0;  // trained context length
  int64_t max_context = 0;   // positions that the engine will have
  NormKind norm = NormKind::rms;
  float norm_epsilon = 1e-5F;
  float gain_offset = 0;  // added to the norms' stored gains
  Activation activation = Activation::silu;
  bool tied = false;        // the output product uses the embedding table
  int64_t table_width = 0;  // of the embedding table; 0: hidden

  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

/// What an architecture calls these options, and what it takes where one is absent.
struct GeometryReading {
  std::string_view hidden = "hidden_size", layers = "num_hidden_layers", heads = "num_attention_heads",
                   feed_forward = "intermediate_size", max_position = "max_position_embeddings",
                   norm_epsilon = "rms_norm_eps",
                   activation = "hidden_act";  // empty: the architecture reads it itself
  NormKind norm = NormKind::rms;
  int64_t feed_forward_multiple = 0;  // of the hidden size; 0: the option must be there
  int64_t head_dim = 0;               // 0: hidden size / heads
  int64_t default_max_position = 0;   // 0: the option must be there
  double default_norm_epsilon = 0;    // likewise
  std::string_view default_activation = "silu";
  bool tied = false;
  bool activation_may_be_null = false;  // as the default; Transformers knows no activation of that name otherwise
  float gain_offset = 0;
  /// Options, of those that change what a layer computes, that the architecture honours; the others are refused.
  std::vector<std::string_view> honoured = {};
};

/// Throws Error for values that are absent, absurd or do not fit one another, and for options that would change results
/// and are not supported (refuse_unsupported_options).
DecoderGeometry read_decoder_geometry(const HfConfig& config, const ImportOptions& options,
                                      const GeometryReading& reading = {});

/// Throws Error naming the first option that this build cannot honour: quantised checkpoints, pretraining_tp, kinds of
/// layers, cross attention, and, but for `honoured`, soft caps and the like.
void refuse_unsupported_options(const HfConfig& config, const std::vector<std::string_view>& honoured);

/// The rotary options' context for whole heads.
RopeContext rope_context(const DecoderGeometry& geometry);

/// `sliding_window`: how many positions a query sees, itself included. 0 where it is null or can hold all there are,
/// and `unmentioned` where the config does not have the option.
int64_t read_window(const HfConfig& config, const DecoderGeometry& geometry, int64_t unmentioned = 0);
/// A window for each layer: by `layer_types`, where absent those that `slides` says.
std::vector<int64_t> read_layer_windows(const HfConfig& config, const DecoderGeometry& geometry, int64_t window,
                                        const std::function<bool(int64_t layer)>& slides);
/// The entries of `layer_types` that are "sliding_attention"; where absent, as `slides` says.
std::vector<bool> read_sliding_layers(const HfConfig& config, const DecoderGeometry& geometry,
                                      const std::function<bool(int64_t layer)>& slides);

/// A multiplier, 1 where it is absent.
float read_multiplier(const HfConfig& config, std::string_view key);
/// A soft cap: 0 (none) where it is null, `unmentioned` where the config does not have the option.
float read_soft_cap(const HfConfig& config, std::string_view key, float unmentioned);

}  // namespace incipit
