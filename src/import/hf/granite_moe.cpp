// Granite 3's mixtures of experts: Granite's shape, all experts' products in one tensor each.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"
#include "import/hf/granite.h"

namespace incipit {
namespace {

void build_granite_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  GeometryReading reading{.honoured = granite_multipliers};
  reading.honoured.push_back("num_local_experts");
  const DecoderGeometry geometry = read_decoder_geometry(config, options, reading);
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.normalize = true;  // a softmax of the chosen ones' logits
  experts.router_module = "router.layer";
  experts.all_gate_up = "input_linear.weight";
  experts.all_down = "output_linear.weight";

  DecoderBuilder decoder(geometry, weights);
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".block_sparse_moe", x, experts);
  };
  build_granite_decoder(config, geometry, decoder, mlp, model);
}

}  // namespace

const HfArchitecture granite_moe_architecture{"GraniteMoeForCausalLM", build_granite_moe};

}  // namespace incipit
