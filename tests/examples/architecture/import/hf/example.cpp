// Llama by another name.
#include "import/hf/architectures.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  llama_architecture.build(config, options, weights, model);
}

}  // namespace

const HfArchitecture example_architecture{"ExampleForCausalLM", build};

}  // namespace incipit
