// Any text as config.json: refused with an Error, or its architecture builds a valid graph from it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "import/hf/architectures.h"
#include "import/hf/config.h"

namespace {

/// Refuses sizes that a run cannot afford thousands of times. The limits of the reader itself are far above.
void check_small(const incipit::HfConfig& config) {
  for (const std::string_view key : {"num_hidden_layers", "n_layer"}) config.integer_or(key, 0, 0, 4);
  for (const std::string_view key :
       {"hidden_size", "n_embd", "intermediate_size", "n_inner", "moe_intermediate_size"}) {
    config.integer_or(key, 0, 0, 4096);
  }
  for (const std::string_view key : {"num_experts", "num_local_experts"}) config.integer_or(key, 0, 0, 16);
}

/// Random weights, but experts one by one, as most checkpoints have them.
class UnstackedTensors : public incipit::RandomTensors {
 public:
  using RandomTensors::RandomTensors;
  bool contains(std::string_view tensor) const override {
    return !tensor.ends_with("experts.gate_up_proj") && RandomTensors::contains(tensor);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace incipit;
  static const bool quiet = (configure_logging("off"), true);
  static_cast<void>(quiet);
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const HfConfig config = HfConfig::parse("config.json", text, text);
    config.end_ids(1000);
    config.begin_id(1000);
    config.generation_defaults();
    const HfArchitecture& architecture = find_architecture(config);
    check_small(config);
    ImportOptions options;
    options.max_context = static_cast<int64_t>(size % 3) * 64;
    UnstackedTensors weights(1, size % 2 == 0);
    Model model;
    architecture.build(config, options, weights, model);
    INCIPIT_ASSERT(model.graph.outputs().size() == 1);
  } catch (const Error&) {
  }
  return 0;
}
