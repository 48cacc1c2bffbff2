// Qwen2 and Qwen2.5: Llama's shape with biases on the query, key and value projections.
#include <algorithm>

#include "import/hf/architectures.h"
#include "import/hf/llama.h"
#include "import/hf/qwen.h"

namespace incipit {

std::vector<int64_t> read_qwen_windows(const HfConfig& config, const DecoderGeometry& geometry) {
  const int64_t window = config.flag("use_sliding_window", false) ? read_window(config, geometry) : 0;
  const int64_t first = config.integer_or("max_window_layers", 28, 0, INT64_MAX);
  return read_layer_windows(config, geometry, window, [&](int64_t layer) { return layer >= first; });
}

std::vector<bool> read_qwen_sparse_layers(const HfConfig& config, const DecoderGeometry& geometry) {
  const int64_t step = config.integer_or("decoder_sparse_step", 1, 1, INT64_MAX);
  const std::vector<double> dense = config.numbers("mlp_only_layers");
  std::vector<bool> is_sparse;
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    is_sparse.push_back((layer + 1) % step == 0 && std::ranges::count(dense, static_cast<double>(layer)) == 0);
  }
  return is_sparse;
}

namespace {

void build_qwen2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"sliding_window", "layer_types"}});
  LlamaBiases biases;
  biases.query_key_value = Bias::present;
  build_llama_decoder(geometry, read_rope(config, rope_context(geometry)), biases, read_qwen_windows(config, geometry),
                      weights, model);
}

}  // namespace

const HfArchitecture qwen2_architecture{"Qwen2ForCausalLM", build_qwen2};

}  // namespace incipit
