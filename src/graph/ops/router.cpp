#include "graph/ops/router.h"

#include <algorithm>

#include "graph/ops/rule.h"

namespace incipit::ops {

Routing Router::routing(int64_t experts) const {
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(std::clamp<int64_t>(value, -1, INT32_MAX)); };
  Routing rule{narrow(experts), narrow(top_k), normalize};
  rule.scores = scores;
  rule.floor = floor;
  rule.scale = scale;
  rule.groups = narrow(groups);
  rule.top_groups = narrow(top_groups);
  rule.group_best = narrow(group_best);
  rule.jitter = jitter;
  return rule;
}

std::vector<ValueType> Router::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"logits", "correction"}, 1);
  const ValueType& logits = rule.tensor(0, 2, {DType::f32});
  const int64_t experts = rule.constant_extent(0, 1);
  if (rule.has(1)) rule.vector_of(1, experts);
  rule.require(is_possible(routing(experts)),
               "cannot choose " + std::to_string(top_k) + " of " + std::to_string(experts) + " experts in " +
                   std::to_string(top_groups) + " of " + std::to_string(groups) + " groups");
  return {{DType::i32, {logits.shape[0], top_k}}, {DType::f32, {logits.shape[0], top_k}}};
}

void Router::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto rows = static_cast<size_t>(inputs[0]->shape()[0]), experts = static_cast<size_t>(inputs[0]->shape()[1]);
  const auto slots = static_cast<size_t>(top_k);
  const Routing rule = routing(inputs[0]->shape()[1]);
  const Tensor* corrections = optional(inputs, 1);
  const std::vector<float> correction = corrections ? floats(*corrections) : std::vector<float>();
  std::vector<RoutingWork> work(experts);
  for (size_t r = 0; r < rows; ++r) {
    route(rule, inputs[0]->as<float>().data() + r * experts, corrections ? correction.data() : nullptr, work.data(),
          outputs[0].as<int32_t>().data() + r * slots, outputs[1].as<float>().data() + r * slots);
  }
}

}  // namespace incipit::ops
