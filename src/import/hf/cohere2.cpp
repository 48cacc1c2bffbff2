// Command R7B and Command A: three of four layers see a window and rotate, the others see everything and do not.
#include "import/hf/architectures.h"
#include "import/hf/cohere.h"

namespace incipit {
namespace {

void build_cohere2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  GeometryReading reading = CohereDecoder::reading(config);
  reading.honoured.insert(reading.honoured.end(), {"sliding_window", "layer_types"});
  const DecoderGeometry geometry = read_decoder_geometry(config, options, reading);
  if (config.flag("use_qk_norm", false)) config.fail("use_qk_norm is not supported for this architecture");
  const int64_t period = config.integer_or("sliding_window_pattern", 4, 1, INT64_MAX);
  const std::vector<bool> is_sliding =
      read_sliding_layers(config, geometry, [&](int64_t layer) { return (layer + 1) % period != 0; });

  DecoderBuilder decoder(geometry, weights);
  const CohereDecoder cohere{config, geometry, decoder};
  AttentionSpec sliding = cohere.attention_spec(), full = sliding;
  sliding.window = read_window(config, geometry, 4096);
  full.rotary = {};
  cohere.build([&](int64_t layer) { return is_sliding.at(static_cast<size_t>(layer)) ? sliding : full; }, model);
}

}  // namespace

const HfArchitecture cohere2_architecture{"Cohere2ForCausalLM", build_cohere2};

}  // namespace incipit
