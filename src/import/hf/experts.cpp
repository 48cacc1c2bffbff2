#include "import/hf/experts.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/ops/activate.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/weighted_sum.h"

namespace incipit {
namespace {

/// Gate and up by turns → all of the gate, then all of up.
void append_halves(const ConstantPtr& rows, std::vector<ConstantPtr>& parts) {
  const int64_t width = rows->rows() / 2;
  for (const int64_t first : {0, 1}) parts.push_back(select_rows(rows, {first, 1, 2, width}));
}

}  // namespace

ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry, std::string_view count,
                        std::string_view chosen, int64_t width) {
  constexpr int64_t expert_limit = 4096;
  if (!gate_of(geometry.activation)) {
    config.fail(fmt::format("hidden_act '{}' is not supported for experts", name_of(geometry.activation)));
  }
  ExpertSpec experts;
  experts.count = config.integer(count, 1, expert_limit);
  experts.router.top_k = config.integer(chosen, 1, experts.count);
  experts.width = width;
  return experts;
}

ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry) {
  const bool is_newer = config.number_or("num_experts", 0) != 0;
  return read_experts(config, geometry, is_newer ? "num_experts" : "num_local_experts", "num_experts_per_tok",
                      geometry.feed_forward);
}

int64_t read_expert_width(const HfConfig& config) { return config.integer("moe_intermediate_size", 1, width_limit); }

void require_only(const HfConfig& config, std::string_view key, std::string_view only) {
  if (!config.has(key) || config.text_or(key, only) == only) return;
  config.fail(fmt::format("{} {} is not supported", key, config.shown(key)), fmt::format("only '{}' is", only));
}

ExpertSpec read_sigmoid_experts(const HfConfig& config, const DecoderGeometry& geometry) {
  // dots.llm1 calls its scores by the name of its choice.
  if (config.text_or("scoring_func", "") != "noaux_tc") require_only(config, "scoring_func", "sigmoid");
  require_only(config, "topk_method", "noaux_tc");
  ExpertSpec experts =
      read_experts(config, geometry, "n_routed_experts", "num_experts_per_tok", read_expert_width(config));
  experts.router.scores = RoutingScores::sigmoid;
  experts.router.normalize = config.flag("norm_topk_prob", true);
  experts.router.floor = 1e-20F;
  experts.router.scale = read_multiplier(config, "routed_scaling_factor");
  experts.router.groups = config.integer_or("n_group", 1, 1, experts.count);
  experts.router.top_groups = config.integer_or("topk_group", 1, 1, experts.router.groups);
  experts.router.group_best = 2;
  if (experts.count % experts.router.groups != 0 ||
      experts.count / experts.router.groups * experts.router.top_groups < experts.router.top_k) {
    config.fail(fmt::format("n_group {} and topk_group {} do not fit {} experts", experts.router.groups,
                            experts.router.top_groups, experts.count));
  }
  experts.correction = "gate.e_score_correction_bias";
  experts.shared_width = config.integer_or("n_shared_experts", 0, 0, 1 << 10) * experts.width;
  experts.shared = "shared_experts";
  return experts;
}

/// The inner products' weights [count, 2·width, hidden] (gate rows, then up rows of each), or the outer ones' [count,
/// hidden, width].
ConstantPtr DecoderBuilder::take_experts(const std::string& module, const ExpertSpec& experts, bool inner) {
  const int64_t count = experts.count, rows = inner ? 2 * experts.width : geometry_.hidden;
  const int64_t columns = inner ? geometry_.hidden : experts.width;
  const Shape shape{count, rows, columns};
  const std::string all = fmt::format("{}.{}", module, inner ? experts.all_gate_up : experts.all_down);
  if (weights_.contains(all) && !experts.transposed) return take(all, shape);
  std::vector<ConstantPtr> parts;
  if (experts.transposed) {
    const ConstantPtr stored = reshape(take(all, {count, columns, rows}), {count * columns, rows});
    for (int64_t expert = 0; expert < count; ++expert) {
      const ConstantPtr one = transpose(slice_rows(stored, expert * columns, columns));
      inner ? append_halves(one, parts) : parts.push_back(one);
    }
    return reshape(concatenate_rows(std::move(parts)), shape);
  }
  const std::vector<std::string_view> names = inner ? std::vector{experts.gate, experts.up} : std::vector{experts.down};
  const Shape each{rows / static_cast<int64_t>(names.size()), columns};
  for (int64_t expert = 0; expert < count; ++expert) {
    for (const std::string_view name : names) {
      parts.push_back(take(fmt::format("{}.experts.{}.{}.weight", module, expert, name), each));
    }
  }
  return reshape(concatenate_mixed(std::move(parts)), shape);
}

ConstantPtr DecoderBuilder::take_expert_biases(const std::string& module, const ExpertSpec& experts, bool inner) {
  const int64_t count = experts.count, rows = inner ? 2 * experts.width : geometry_.hidden;
  const ConstantPtr stored =
      take(fmt::format("{}.{}_bias", module, inner ? experts.all_gate_up : experts.all_down), {count, rows});
  if (!inner) return stored;
  const ConstantPtr flat = reshape(stored, {count * rows});
  std::vector<ConstantPtr> parts;
  for (int64_t expert = 0; expert < count; ++expert) append_halves(slice_rows(flat, expert * rows, rows), parts);
  return reshape(concatenate_rows(std::move(parts)), {count, rows});
}

ValueId DecoderBuilder::expert_product(const std::string& module, ValueId x, ValueId choice, const ExpertSpec& experts,
                                       bool inner) {
  const std::string name = module + (inner ? ".experts.gate_up_proj" : ".experts.down_proj");
  ops::ExpertLinear product;
  product.top_k = experts.router.top_k;
  if (inner) {
    product.activation = experts.clamped ? Activation::clamped_silu_gate : gate_of(geometry_.activation).value();
  }
  const ValueId weight = graph_.add_constant(name + ".weight", take_experts(module, experts, inner));
  const ValueId bias = experts.bias == Bias::absent
                           ? none
                           : graph_.add_constant(name + ".bias", take_expert_biases(module, experts, inner));
  return graph_.add(name, std::move(product), {x, choice, weight, bias});
}

/// The shared MLP's result, weighed by its gate where it has one, and `sum`.
ValueId DecoderBuilder::shared_mlp(const std::string& module, ValueId x, const ExpertSpec& experts, ValueId sum) {
  const std::string name = fmt::format("{}.{}", module, experts.shared);
  ValueId shared = gated_mlp(name, x, Bias::absent, experts.shared_width);
  if (!experts.shared_gate.empty()) {
    const std::string gate = fmt::format("{}.{}", module, experts.shared_gate);
    ops::Activate sigmoid;
    sigmoid.kind = Activation::sigmoid;
    const ValueId weight = graph_.add(gate + ".sigmoid", std::move(sigmoid), {linear(gate, x, 1)});
    shared = graph_.add(name + ".weighted_sum", ops::WeightedSum{}, {shared, weight});
  }
  return add(name + ".add", sum, shared);
}

ValueId DecoderBuilder::sparse_mlp(const std::string& module, ValueId x, const ExpertSpec& experts) {
  const ValueId logits = linear(fmt::format("{}.{}", module, experts.router_module), x, experts.count, experts.bias);
  ValueId correction = none;
  if (!experts.correction.empty()) {
    const std::string tensor = fmt::format("{}.{}", module, experts.correction);
    ConstantPtr stored = take(tensor, experts.correction_is_row ? Shape{1, experts.count} : Shape{experts.count});
    correction = graph_.add_constant(tensor, reshape(std::move(stored), {experts.count}));
  }
  const std::vector<ValueId> choice =
      graph_.add_node(module + ".router", std::make_unique<ops::Router>(experts.router), {logits, correction});
  const ValueId inner = expert_product(module, x, choice[0], experts, true);
  const ValueId outer = expert_product(module, inner, choice[0], experts, false);
  const ValueId sum = graph_.add(module + ".weighted_sum", ops::WeightedSum{}, {outer, choice[1]});
  return experts.shared_width == 0 ? sum : shared_mlp(module, x, experts, sum);
}

}  // namespace incipit
