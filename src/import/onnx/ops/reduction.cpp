// Operators that reduce axes. https://onnx.ai/onnx/operators
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;

template <const char* kind>
Values reduce(Call& call) {
  const primitives::Reduce reduction{kind, call.integer("keepdims", 1) != 0,
                                     call.integer("noop_with_empty_axes", 0) != 0};
  // An attribute up to opset 12 (of ReduceSum) or 17, an input since.
  ValueId axes = call.optional(1);
  if (const std::optional<std::vector<int64_t>> given = call.integers("axes")) axes = call.list(*given);
  return {call.add(reduction, {call.input(0), axes})};
}

template <const char* kind>
Values arg_reduce(Call& call) {
  return {call.add(primitives::ArgReduce{kind, call.integer("axis", 0), call.integer("keepdims", 1) != 0,
                                         call.integer("select_last_index", 0) != 0},
                   {call.input(0)})};
}

constexpr char sum[] = "sum", mean[] = "mean", maximum[] = "max", minimum[] = "min", product[] = "prod", l1[] = "l1",
               l2[] = "l2", log_sum[] = "log_sum", log_sum_exp[] = "log_sum_exp", sum_square[] = "sum_square";

constexpr Translation reduction_table[] = {
    {"", "ArgMax", arg_reduce<maximum>},   {"", "ArgMin", arg_reduce<minimum>},
    {"", "ReduceL1", reduce<l1>},          {"", "ReduceL2", reduce<l2>},
    {"", "ReduceLogSum", reduce<log_sum>}, {"", "ReduceLogSumExp", reduce<log_sum_exp>},
    {"", "ReduceMax", reduce<maximum>},    {"", "ReduceMean", reduce<mean>},
    {"", "ReduceMin", reduce<minimum>},    {"", "ReduceProd", reduce<product>},
    {"", "ReduceSum", reduce<sum>},        {"", "ReduceSumSquare", reduce<sum_square>},
};

}  // namespace

std::span<const Translation> reduction_translations() { return reduction_table; }

}  // namespace incipit::onnx
