// Operators that reduce axes. https://onnx.ai/onnx/operators
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using primitives::ArgReduce;
using primitives::Reduce;
using Values = std::vector<ValueId>;

template <Reduce::Kind kind>
Values reduce(Call& call) {
  const Reduce reduction{kind, call.integer("keepdims", 1) != 0, call.integer("noop_with_empty_axes", 0) != 0};
  // An attribute up to opset 12 (of ReduceSum) or 17, an input since.
  ValueId axes = call.optional(1);
  if (const std::optional<std::vector<int64_t>> given = call.integers("axes")) axes = call.list(*given);
  return {call.add(reduction, {call.input(0), axes})};
}

template <ArgReduce::Kind kind>
Values arg_reduce(Call& call) {
  return {call.add(ArgReduce{kind, call.integer("axis", 0), call.integer("keepdims", 1) != 0,
                             call.integer("select_last_index", 0) != 0},
                   {call.input(0)})};
}

constexpr Translation reduction_table[] = {
    {"", "ArgMax", arg_reduce<ArgReduce::max>},    {"", "ArgMin", arg_reduce<ArgReduce::min>},
    {"", "ReduceL1", reduce<Reduce::l1>},          {"", "ReduceL2", reduce<Reduce::l2>},
    {"", "ReduceLogSum", reduce<Reduce::log_sum>}, {"", "ReduceLogSumExp", reduce<Reduce::log_sum_exp>},
    {"", "ReduceMax", reduce<Reduce::max>},        {"", "ReduceMean", reduce<Reduce::mean>},
    {"", "ReduceMin", reduce<Reduce::min>},        {"", "ReduceProd", reduce<Reduce::prod>},
    {"", "ReduceSum", reduce<Reduce::sum>},        {"", "ReduceSumSquare", reduce<Reduce::sum_square>},
};

}  // namespace

std::span<const Translation> reduction_translations() { return reduction_table; }

}  // namespace incipit::onnx
