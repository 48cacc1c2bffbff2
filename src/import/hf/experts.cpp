#include "import/hf/experts.h"

#include <fmt/format.h>

namespace incipit {

ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry) {
  constexpr int64_t expert_limit = 4096;
  if (!gate_of(geometry.activation)) {
    config.fail(fmt::format("hidden_act '{}' is not supported for experts", name_of(geometry.activation)));
  }
  ExpertSpec experts;
  const bool is_newer = config.number_or("num_experts", 0) != 0;
  experts.count = config.integer(is_newer ? "num_experts" : "num_local_experts", 1, expert_limit);
  experts.chosen = config.integer("num_experts_per_tok", 1, experts.count);
  experts.width = geometry.feed_forward;
  return experts;
}

}  // namespace incipit
