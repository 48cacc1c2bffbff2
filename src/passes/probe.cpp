#include "passes/probe.h"

#include <algorithm>
#include <set>

#include "base/error.h"

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

}  // namespace

Probe::Probe(const Graph& graph, const DecoderInputs& inputs, int64_t past, int64_t seq)
    : graph_(graph), inputs_(inputs), past_(past), seq_(seq) {
  const auto bind = [&](const Dim& dim, int64_t extent) {
    if (!dim.is_constant()) symbols_.emplace(dim.text(), extent);
  };
  bind(inputs.batch, 1);
  bind(inputs.seq, seq);
  bind(inputs.past_length, past);
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

}  // namespace incipit
