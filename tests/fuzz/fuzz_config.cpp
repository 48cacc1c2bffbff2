// Any text as config.json: refused with an Error, or an architecture builds a valid graph from it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "import/hf/architectures.h"
#include "import/hf/config.h"
#include "import/hf/decoder_geometry.h"

namespace {

/// Sizes that a run can afford thousands of times. The limits of the reader itself are far above.
bool is_small(const incipit::DecoderGeometry& geometry) {
  return geometry.layers <= 4 && geometry.hidden <= 4096 && geometry.feed_forward <= 4096;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace incipit;
  static const bool quiet = (spdlog::set_level(spdlog::level::off), true);
  static_cast<void>(quiet);
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const HfConfig config = HfConfig::parse("config.json", text, text);
    const DecoderGeometry geometry = read_decoder_geometry(config);
    config.end_ids(geometry.vocabulary);
    config.begin_id(geometry.vocabulary);
    config.generation_defaults();
    const Rope rope = make_rope(geometry.rope, geometry.head_dim);
    INCIPIT_ASSERT(rope.inverse_frequencies.size() == static_cast<size_t>(geometry.head_dim / 2));
    const HfArchitecture& architecture = find_architecture(config);
    if (!is_small(geometry)) return 0;
    RandomTensors weights(1, geometry.tied);
    Model model;
    architecture.build(config, weights, model);
    INCIPIT_ASSERT(model.graph.outputs().size() == 1);
  } catch (const Error&) {
  }
  return 0;
}
