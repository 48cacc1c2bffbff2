#include "passes/probe.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "graph/ops/primitive.h"

namespace incipit {
namespace {

// A tensor of any dtype that a number can be stored in, with what `element` gives for each index.
template <typename F>
Tensor filled(DType dtype, const Shape& shape, F&& element) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const int64_t value = element(i);
    const auto at = static_cast<size_t>(i);
    switch (dtype) {
      case DType::i64: tensor.as<int64_t>()[at] = value; break;
      case DType::i32: tensor.as<int32_t>()[at] = static_cast<int32_t>(value); break;
      case DType::boolean:
      case DType::u8:
      case DType::i8: tensor.as<uint8_t>()[at] = static_cast<uint8_t>(value); break;
      default: {
        const auto number = static_cast<float>(value);
        convert_from_float(&number, dtype, tensor.data() + at * size_of(dtype), 1);
      }
    }
  }
  return tensor;
}

// The elements at a range of an axis.
Tensor slice_of(const Tensor& tensor, size_t axis, Probe::Range range) {
  Shape shape = tensor.shape();
  INCIPIT_ASSERT(range.first >= 0 && range.count >= 0 && range.first + range.count <= shape.at(axis));
  const size_t element = size_of(tensor.dtype());
  size_t outer = 1, inner = element;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != axis) (i < axis ? outer : inner) *= static_cast<size_t>(shape[i]);
  }
  const size_t step = static_cast<size_t>(shape[axis]) * inner, wanted = static_cast<size_t>(range.count) * inner;
  shape[axis] = range.count;
  Tensor part(tensor.dtype(), shape);
  for (size_t i = 0; i < outer && wanted > 0; ++i) {
    std::memcpy(part.data() + i * wanted, tensor.data() + i * step + static_cast<size_t>(range.first) * inner, wanted);
  }
  return part;
}

bool works_by_element(const Graph& graph, NodeId node) {
  return graph.op_as<ops::Binary>(node) != nullptr || graph.op_as<ops::Unary>(node) != nullptr ||
         graph.op_as<ops::Cast>(node) != nullptr || graph.op_as<ops::Where>(node) != nullptr;
}

bool keeps_order(const Graph& graph, NodeId node) {
  return graph.op_as<ops::Reshape>(node) != nullptr || graph.op_as<ops::Squeeze>(node) != nullptr ||
         graph.op_as<ops::Unsqueeze>(node) != nullptr;
}

std::optional<Tensor> first_result(const Op& op, std::span<const Tensor* const> arguments) {
  std::vector<Tensor> results(1);
  ReferenceCache cache;
  try {
    op.evaluate(arguments, results, cache);
  } catch (const Error&) {
    return std::nullopt;  // not computable for these extents: then it is not what was looked for
  }
  return std::move(results.front());
}

}  // namespace

Probe::Probe(const Graph& graph, const DecoderInputs& inputs, int64_t past, int64_t seq)
    : graph_(graph), inputs_(inputs), past_(past), seq_(seq) {
  const auto bind = [&](const Dim& dim, int64_t extent) {
    if (!dim.is_constant()) symbols_.emplace(dim.text(), extent);
  };
  bind(inputs.batch, 1);
  bind(inputs.seq, seq);
  bind(inputs.past_length, past);
  if (inputs.attention_mask != none) bind(graph.value(inputs.attention_mask).type.shape.at(1), past + seq);
}

std::optional<std::vector<int64_t>> Probe::numbers(const std::vector<Dim>& dims) const {
  std::vector<int64_t> values;
  for (const Dim& dim : dims) {
    const std::vector<std::string> names = dim.symbols();
    if (!std::all_of(names.begin(), names.end(), [&](const auto& name) { return symbols_.contains(name); })) {
      return std::nullopt;
    }
    values.push_back(dim.evaluate(symbols_));
  }
  return values;
}

std::optional<Tensor> Probe::input(ValueId id) const {
  const DType dtype = graph_.value(id).type.dtype;
  if (id == inputs_.attention_mask) {
    return filled(dtype, {1, past_ + seq_}, [](int64_t) { return int64_t{1}; });
  }
  if (id == inputs_.position) return filled(dtype, {1, seq_}, [&](int64_t i) { return past_ + i; });
  const Shape ones(graph_.value(id).type.shape.size(), 1);
  if (id == inputs_.last_key) return filled(dtype, ones, [&](int64_t) { return past_ + seq_ - 1; });
  if (id == inputs_.total_length) return filled(dtype, ones, [&](int64_t) { return past_ + seq_; });
  return std::nullopt;
}

bool Probe::needs_inputs(ValueId id) const {
  const Value& value = graph_.value(id);
  return value.producer != none && !(value.type.contents && numbers(*value.type.contents));
}

const Tensor* Probe::value(ValueId id) {
  if (!known_.contains(id)) {
    // What it depends on, found backwards and computed forwards: graphs are too deep for recursion.
    std::set<ValueId> wanted{id};
    std::vector<ValueId> order;
    const std::vector<NodeId>& nodes = graph_.order();
    for (auto n = nodes.rbegin(); n != nodes.rend(); ++n) {
      for (const ValueId output : graph_.node(*n).outputs) {
        if (!wanted.contains(output)) continue;
        order.push_back(output);
        if (known_.contains(output) || !needs_inputs(output)) continue;
        for (const ValueId argument : graph_.node(*n).inputs) {
          if (argument != none) wanted.insert(argument);
        }
      }
    }
    for (const ValueId needed : wanted) {
      if (graph_.value(needed).producer == none) order.push_back(needed);
    }
    for (auto needed = order.rbegin(); needed != order.rend(); ++needed) {
      if (!known_.contains(*needed)) known_.emplace(*needed, compute(*needed));
    }
  }
  const std::optional<Tensor>& found = known_.at(id);
  return found ? &*found : nullptr;
}

std::optional<Tensor> Probe::compute(ValueId id) const {
  const Value& value = graph_.value(id);
  if (value.type.is_cache) return std::nullopt;
  // What is known of a small value needs nothing of what it was computed from: an extent does not need the tensor.
  if (value.type.contents) {
    if (const auto contents = numbers(*value.type.contents)) {
      const Shape shape = value.type.shape.empty() ? Shape{} : Shape{static_cast<int64_t>(contents->size())};
      return filled(value.type.dtype, shape, [&](int64_t i) { return contents->at(static_cast<size_t>(i)); });
    }
  }
  if (value.constant) {
    if (value.constant->rows() * value.constant->row_elements() > most_elements) return std::nullopt;
    return value.constant->materialise();
  }
  if (value.producer == none) return input(id);
  if (const auto extents = numbers(value.type.shape)) {
    int64_t elements = 1;
    for (const int64_t extent : *extents) {
      if (extent < 0 || __builtin_mul_overflow(elements, extent, &elements) || elements > most_elements) {
        return std::nullopt;
      }
    }
  } else if (seq_ > longest_unknown) {
    return std::nullopt;  // it may be as large as the square of that
  }
  const Node& node = graph_.node(value.producer);
  if (!node.op->shapes_follow_values()) return std::nullopt;  // a decoder's op: no mask is made with it
  std::vector<const Tensor*> arguments;
  for (const ValueId argument : node.inputs) {
    const std::optional<Tensor>* known = argument == none ? nullptr : &known_.at(argument);
    if (known != nullptr && !*known) return std::nullopt;
    arguments.push_back(known == nullptr ? nullptr : &**known);
  }
  std::vector<Tensor> results(node.outputs.size());
  ReferenceCache cache;
  try {
    node.op->evaluate(arguments, results, cache);
  } catch (const Error&) {
    return std::nullopt;  // not computable for these extents: then it is not what was looked for
  }
  return std::move(results.at(static_cast<size_t>(value.producer_output)));
}

std::optional<Tensor> Probe::part(ValueId id, size_t axis, Range range) {
  constexpr int deepest = 64;
  range_ = range;
  parts_.clear();
  const Tensor* const found = part(id, axis, deepest);
  return found == nullptr ? std::nullopt : std::optional(primitives::copy_of(*found));
}

const Tensor* Probe::part(ValueId id, size_t axis, int depth) {
  auto found = parts_.find({id, axis});
  if (found == parts_.end()) found = parts_.emplace(std::pair(id, axis), compute_part(id, axis, depth)).first;
  return found->second ? &*found->second : nullptr;
}

std::optional<Tensor> Probe::compute_part(ValueId id, size_t axis, int depth) {
  const Value& value = graph_.value(id);
  const int64_t end = range_.first + range_.count;
  if (value.producer != none && !value.type.contents && depth > 0) {
    const Node& node = graph_.node(value.producer);
    const auto shape = numbers(value.type.shape);
    if (!shape || axis >= shape->size() || end > shape->at(axis)) return std::nullopt;
    int64_t elements = range_.count;
    for (size_t i = 0; i < shape->size(); ++i) {
      if (i != axis && (__builtin_mul_overflow(elements, shape->at(i), &elements) || elements > most_elements)) {
        return std::nullopt;
      }
    }
    if (works_by_element(graph_, value.producer)) return part_of_elements(node, axis, depth - 1);
    if (keeps_order(graph_, value.producer) || graph_.op_as<ops::Expand>(value.producer) != nullptr) {
      if (std::optional<Tensor> found = part_of_shape(node, axis, depth - 1)) return found;
    }
  }
  const Tensor* const whole = this->value(id);
  if (whole == nullptr || axis >= whole->shape().size() || end > whole->shape()[axis]) return std::nullopt;
  return slice_of(*whole, axis, range_);
}

// What an operand gives to that part of a result of `rank` axes, to which it is broadcast.
const Tensor* Probe::operand_part(ValueId operand, size_t rank, size_t axis, int depth) {
  const auto shape = operand == none ? std::nullopt : numbers(graph_.value(operand).type.shape);
  if (!shape || shape->size() > rank) return nullptr;
  const size_t missing = rank - shape->size();
  const bool is_cut = axis >= missing && shape->at(axis - missing) != 1;
  return is_cut ? part(operand, axis - missing, depth) : value(operand);
}

std::optional<Tensor> Probe::part_of_elements(const Node& node, size_t axis, int depth) {
  const size_t rank = graph_.value(node.outputs[0]).type.shape.size();
  std::vector<const Tensor*> arguments;
  for (const ValueId operand : node.inputs) {
    arguments.push_back(operand_part(operand, rank, axis, depth));
    if (arguments.back() == nullptr) return std::nullopt;
  }
  return first_result(*node.op, arguments);
}

// Of a value that has another's elements, in the same order or repeated.
std::optional<Tensor> Probe::part_of_shape(const Node& node, size_t axis, int depth) {
  const auto before = numbers(graph_.value(node.inputs[0]).type.shape);
  auto after = numbers(graph_.value(node.outputs[0]).type.shape);
  if (!before || !after) return std::nullopt;
  const bool repeats = node.op->name() == primitives::Expand::op_name;
  const Tensor* source = repeats ? operand_part(node.inputs[0], after->size(), axis, depth) : nullptr;
  if (!repeats) {
    // The axis that counts the same: of the same extent, behind as many elements.
    const auto product = [](const std::vector<int64_t>& shape, size_t count) {
      uint64_t elements = 1;
      for (size_t i = 0; i < count; ++i) elements *= static_cast<uint64_t>(shape[i]);
      return elements;
    };
    for (size_t i = 0; i < before->size() && source == nullptr; ++i) {
      const bool same = before->at(i) == after->at(axis) && product(*before, i) == product(*after, axis);
      if (same) source = part(node.inputs[0], i, depth);
    }
  }
  if (source == nullptr) return std::nullopt;
  after->at(axis) = range_.count;
  const Tensor shape = Tensor::of({std::ssize(*after)}, std::span<const int64_t>(*after));
  const Tensor* const arguments[] = {source, &shape};
  return repeats ? first_result(ops::Expand(), arguments) : first_result(ops::Reshape(), arguments);
}

}  // namespace incipit
