// Qwen2 and Qwen2.5: Llama's shape with biases on the query, key and value projections.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, TensorSource& weights, Model& model) {
  DecoderGeometry geometry = read_decoder_geometry(config);
  // Published configs name a window and leave it switched off; switched on, it holds from layer max_window_layers.
  if (config.flag("use_sliding_window", false) && config.has("sliding_window") &&
      config.integer_or("max_window_layers", 0, 0, INT64_MAX) < geometry.layers) {
    config.fail(fmt::format("use_sliding_window with a window of {} is not supported", config.shown("sliding_window")));
  }
  geometry.query_key_value_bias = true;
  build_llama_decoder(geometry, weights, model);
}

}  // namespace

const HfArchitecture qwen2_architecture{"Qwen2ForCausalLM", build};

}  // namespace incipit
