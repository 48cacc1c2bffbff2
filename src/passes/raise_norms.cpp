#include "passes/passes.h"
#include "passes/primitive_match.h"

namespace incipit {
namespace {

// What a mean over the last axis, keeping it, is taken of; else none.
ValueId match_mean(const Graph& graph, ValueId value) {
  const auto* reduce = value == none ? nullptr : graph.producer_as<ops::Reduce>(value);
  if (reduce == nullptr || reduce->kind != reduce->mean || !reduce->keepdims) return none;
  const std::vector<ValueId>& inputs = graph.node(graph.value(value).producer).inputs;
  const auto axes = inputs.size() < 2 ? std::nullopt : known_integers(graph, inputs[1]);
  const bool over_last = axes && axes->size() == 1 && is_last_axis(axes->front(), rank_of(graph, inputs[0]));
  return over_last ? inputs[0] : none;
}

// x of x·x or x²; else none.
ValueId match_square(const Graph& graph, ValueId value) {
  if (value == none) return none;
  if (const auto power = match_with_number(graph, value, ops::Binary::power); power && power->number == 2)
    return power->value;
  const auto product = match_binary(graph, value, ops::Binary::mul);
  return product && product->first == product->second ? product->first : none;
}

struct Spread {
  ValueId x = none;  // whose mean square it is, past conversions
  float epsilon = 0;
};
// mean(x²) + epsilon.
std::optional<Spread> match_mean_square(const Graph& graph, ValueId value) {
  const auto sum = match_with_number(graph, value, ops::Binary::add);
  if (!sum) return std::nullopt;
  const ValueId square = past_casts(graph, match_mean(graph, past_casts(graph, sum->value)));
  const ValueId x = past_casts(graph, match_square(graph, square));
  return x == none ? std::nullopt : std::optional(Spread{x, static_cast<float>(sum->number)});
}
// sqrt(mean(x²) + epsilon).
std::optional<Spread> match_root(const Graph& graph, ValueId value) {
  if (const ValueId sum = match_unary(graph, value, ops::Unary::sqrt); sum != none)
    return match_mean_square(graph, sum);
  const auto power = match_with_number(graph, value, ops::Binary::power);
  return power && power->number == 0.5 ? match_mean_square(graph, power->value) : std::nullopt;
}
// 1 / sqrt(mean(x²) + epsilon).
std::optional<Spread> match_inverse_root(const Graph& graph, ValueId value) {
  if (const ValueId root = match_unary(graph, value, ops::Unary::reciprocal); root != none)
    return match_root(graph, root);
  if (const auto quotient = match_binary(graph, value, ops::Binary::div);
      quotient && number_of(graph, quotient->first) == 1.0) {
    return match_root(graph, quotient->second);
  }
  const auto power = match_with_number(graph, value, ops::Binary::power);
  return power && power->number == -0.5 ? match_mean_square(graph, power->value) : std::nullopt;
}

// x / sqrt(mean(x²) + epsilon), in any of its forms.
std::optional<Spread> match_normed(const Graph& graph, ValueId value) {
  if (const auto quotient = match_binary(graph, value, ops::Binary::div)) {
    const std::optional<Spread> spread = match_root(graph, past_casts(graph, quotient->second));
    if (spread && past_casts(graph, quotient->first) == spread->x) return spread;
  }
  if (const auto product = match_binary(graph, value, ops::Binary::mul)) {
    for (const auto& [x, factor] : {*product, std::pair(product->second, product->first)}) {
      const std::optional<Spread> spread = match_inverse_root(graph, past_casts(graph, factor));
      if (spread && past_casts(graph, x) == spread->x) return spread;
    }
  }
  return std::nullopt;
}

// x of x − mean(x), as it is subtracted from; else none.
ValueId match_centred(const Graph& graph, ValueId value) {
  const auto difference = match_binary(graph, value, ops::Binary::sub);
  if (!difference) return none;
  const ValueId mean = past_casts(graph, match_mean(graph, past_casts(graph, difference->second)));
  return mean == past_casts(graph, difference->first) ? difference->first : none;
}

// The only use of a value, behind conversions, when it is Binary `function` with a vector along the last axis.
struct Finish {
  ValueId result = none, vector = none;
};
std::optional<Finish> match_finish(const Graph& graph, ValueId value, ops::Binary::Function function) {
  const Dim width = extent_of(graph, value, -1);
  for (;;) {
    const std::vector<std::pair<NodeId, int32_t>> uses = graph.uses(value);
    if (uses.size() != 1 || graph.is_output(value)) return std::nullopt;
    const ValueId result = graph.node(uses.front().first).outputs.front();
    if (past_casts(graph, result) == past_casts(graph, value)) {
      value = result;
      continue;
    }
    const auto operands = match_binary(graph, result, function);
    if (!operands) return std::nullopt;
    const ValueId vector = operands->first == value ? operands->second : operands->first;
    // A vector of more axes would give its result more than the norm has; kernels have no f64.
    const ValueType& type = graph.value(result).type;
    if (type.dtype == DType::f64 || type.shape != graph.value(value).type.shape) return std::nullopt;
    if (!is_last_axis_vector(graph, vector, width)) return std::nullopt;
    return Finish{result, vector};
  }
}

ConstantPtr ones(int64_t width) {
  const std::vector<float> values(static_cast<size_t>(width), 1.0F);
  return make_constant(Tensor::of({width}, std::span<const float>(values)));
}

ValueId of_type(Graph& graph, ValueId constant, DType dtype) {
  if (constant == none || graph.value(constant).type.dtype == dtype) return constant;
  return graph.add_constant(graph.value(constant).name, convert(graph.value(constant).constant, dtype));
}

}  // namespace

void raise_norms(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.op_as<ops::Binary>(n) == nullptr) continue;
    ValueId result = graph.node(n).outputs.front();
    const std::optional<Spread> spread = match_normed(graph, result);
    if (!spread || !extent_of(graph, spread->x, -1).is_constant()) continue;
    const int64_t width = extent_of(graph, spread->x, -1).constant();
    const ValueId centred = match_centred(graph, spread->x);
    const ValueId x = centred != none ? past_casts(graph, centred) : spread->x;
    // Kernels have no f64, and a number of more axes than x gives its result more.
    if (graph.value(x).type.dtype == DType::f64 || graph.value(result).type.dtype == DType::f64) continue;
    if (graph.value(x).type.shape != graph.value(result).type.shape) continue;

    ValueId gain = none, bias = none;
    if (const std::optional<Finish> finish = match_finish(graph, result, ops::Binary::mul)) {
      result = finish->result;
      gain = as_vector(graph, finish->vector);
    }
    if (const std::optional<Finish> finish = match_finish(graph, result, ops::Binary::add); finish && centred != none) {
      result = finish->result;
      bias = as_vector(graph, finish->vector);
    }
    if (gain == none) gain = graph.add_constant("ones", ones(width));
    const NodeId place = graph.value(result).producer;
    ValueId raised;
    if (centred != none) {
      primitives::LayerNormalization op;
      op.epsilon = spread->epsilon;
      // Halves that are widened in front of the norm stay wide behind it.
      const DType own = graph.value(x).type.dtype, wanted = graph.value(result).type.dtype;
      ValueId wide = x;
      if (size_of(wanted) > size_of(own)) {
        wide = graph.value(centred).type.dtype == wanted ? centred : converted_like(graph, place, x, result);
      }
      gain = of_type(graph, gain, graph.value(wide).type.dtype);
      bias = of_type(graph, bias, graph.value(wide).type.dtype);
      raised = graph.insert(place, "norm", ops::LayerNormalization(op), {wide, gain, bias});
    } else {
      primitives::RmsNormalization op;
      op.epsilon = spread->epsilon;
      raised = graph.insert(place, "norm", ops::RmsNormalization(op), {x, gain});
    }
    replace(graph, result, converted_like(graph, place, raised, result));
  }
  graph.remove_unused();
}

}  // namespace incipit
