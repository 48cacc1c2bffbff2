#include "import/hf/experts.h"

#include <fmt/format.h>

namespace incipit {

ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry) {
  constexpr int64_t expert_limit = 4096;
  if (geometry.activation == "relu") config.fail("hidden_act 'relu' is not supported for experts");
  ExpertSpec experts;
  experts.count = config.integer(config.has("num_experts") ? "num_experts" : "num_local_experts", 1, expert_limit);
  experts.chosen = config.integer("num_experts_per_tok", 1, experts.count);
  experts.width = geometry.feed_forward;
  return experts;
}

}  // namespace incipit
