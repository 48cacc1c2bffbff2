// Operators that find elements by indices, or make them. https://onnx.ai/onnx/operators
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;
namespace p = primitives;

Values gather(Call& call) { return {call.add(p::Gather{call.integer("axis", 0)}, {call.input(0), call.input(1)})}; }

Values gather_elements(Call& call) {
  return {call.add(p::GatherElements{call.integer("axis", 0)}, {call.input(0), call.input(1)})};
}

Values gather_nd(Call& call) {
  return {call.add(p::GatherND{call.integer("batch_dims", 0)}, {call.input(0), call.input(1)})};
}

// Scatter is what ScatterElements was called before opset 11.
Values scatter_elements(Call& call) {
  return {call.add(p::ScatterElements{call.integer("axis", 0), call.word("reduction", p::ScatterReduction::none)},
                   {call.input(0), call.input(1), call.input(2)})};
}

Values scatter_nd(Call& call) {
  return {call.add(p::ScatterND{call.word("reduction", p::ScatterReduction::none)},
                   {call.input(0), call.input(1), call.input(2)})};
}

Values tensor_scatter(Call& call) {
  return {call.add(p::TensorScatter{call.integer("axis", -2), call.word("mode", p::TensorScatter::linear)},
                   {call.input(0), call.input(1), call.optional(2)})};
}

Values one_hot(Call& call) {
  return {call.add(p::OneHot{call.integer("axis", -1)}, {call.input(0), call.input(1), call.input(2)})};
}

Values range(Call& call) { return {call.add(p::Range{}, {call.input(0), call.input(1), call.input(2)})}; }

Values nonzero(Call& call) { return {call.add(p::NonZero{}, {call.input(0)})}; }

Values top_k(Call& call) {
  const p::TopK top{call.integer("axis", -1), call.integer("largest", 1) != 0, call.integer("sorted", 1) != 0};
  return call.add_all(top,
                      {call.input(0), call.opset() < 10 ? call.list({call.required_integer("k")}) : call.input(1)});
}

constexpr Translation indexing_table[] = {
    {"", "Gather", gather},
    {"", "GatherElements", gather_elements},
    {"", "GatherND", gather_nd},
    {"", "NonZero", nonzero},
    {"", "OneHot", one_hot},
    {"", "Range", range},
    {"", "Scatter", scatter_elements},
    {"", "ScatterElements", scatter_elements},
    {"", "ScatterND", scatter_nd},
    {"", "TensorScatter", tensor_scatter},
    {"", "TopK", top_k},
};

}  // namespace

std::span<const Translation> indexing_translations() { return indexing_table; }

}  // namespace incipit::onnx
