// Seed-OSS: Llama's shape with biases on the query, key and value projections, and a flag for the output's.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_seed_oss(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.head_dim = 128});
  const LlamaBiases biases{bias_if(config.flag("attention_bias", true)),
                           bias_if(config.flag("attention_out_bias", false)), bias_if(config.flag("mlp_bias", false))};
  build_llama_decoder(geometry, read_rope(config, rope_context(geometry)), biases, {}, weights, model);
}

}  // namespace

const HfArchitecture seed_oss_architecture{"SeedOssForCausalLM", build_seed_oss};

}  // namespace incipit
