#include "graph/ops/if.h"

#include <algorithm>

namespace incipit::ops {

std::vector<std::pair<std::string_view, const Graph*>> If::bodies() const {
  return {{"then", then_branch.get()}, {"else", else_branch.get()}};
}

std::vector<ValueType> If::infer(std::span<const ValueType> inputs) const {
  const std::span<const ValueType> captured = from(op_name, inputs, 1);
  require_single(op_name, inputs[0], DType::boolean, "its condition");
  const size_t first = then_branch->inputs().size();
  BodyRule(op_name).require(captured.size() == first + else_branch->inputs().size(),
                            "has other inputs than its branches");
  const std::vector<ValueType> a = infer_body(op_name, *then_branch, captured.first(first));
  const std::vector<ValueType> b = infer_body(op_name, *else_branch, captured.subspan(first));
  BodyRule(op_name).require(a.size() == b.size(), "has branches with different numbers of outputs");
  std::vector<ValueType> types;
  for (size_t i = 0; i < a.size(); ++i) types.push_back(common_type(op_name, a[i], b[i]));
  return types;
}

void If::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const {
  const bool condition = single(op_name, *inputs[0]) != 0;
  const auto captured = inputs.subspan(1);
  const size_t first = then_branch->inputs().size();
  const auto used = condition ? captured.first(first) : captured.subspan(first);
  std::vector<Tensor> made = interpret(condition ? *then_branch : *else_branch, used, cache);
  std::move(made.begin(), made.end(), outputs.begin());
}

}  // namespace incipit::ops
