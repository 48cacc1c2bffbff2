#include "graph/graph.h"

#include <algorithm>

namespace incipit {

Graph Graph::clone() const {
  Graph copy;
  copy.values_ = values_;
  copy.nodes_.reserve(nodes_.size());
  for (const Node& node : nodes_) {
    copy.nodes_.push_back({node.name, node.op ? node.op->clone() : nullptr, node.inputs, node.outputs});
  }
  copy.order_ = order_;
  copy.inputs_ = inputs_;
  copy.outputs_ = outputs_;
  copy.names_ = names_;
  copy.unknowns_ = unknowns_;
  return copy;
}

ValueType type_of(const Constant& constant) {
  ValueType type{constant.dtype(), {}};
  type.shape.assign(constant.shape().begin(), constant.shape().end());
  const bool is_integer =
      constant.dtype() == DType::i32 || constant.dtype() == DType::i64 || constant.dtype() == DType::boolean;
  if (is_integer && type.shape.size() <= 1 && constant.rows() <= ValueType::max_contents) {
    std::vector<int64_t> values = constant.integers();
    if (constant.dtype() == DType::boolean) {
      for (int64_t& value : values) value = value != 0 ? 1 : 0;
    }
    type.contents.emplace(values.begin(), values.end());
  }
  return type;
}

bool follows(const ValueType& type, const ValueType& inferred) {
  const auto follow = [](const std::vector<Dim>& dims, const std::vector<Dim>& from) {
    return std::equal(dims.begin(), dims.end(), from.begin(), from.end(), [](const Dim& dim, const Dim& source) {
      return dim == source || (source.is_unknown() && dim.is_unknown_symbol());
    });
  };
  return type.dtype == inferred.dtype && type.is_cache == inferred.is_cache && type.is_absent == inferred.is_absent &&
         follow(type.shape, inferred.shape) && type.contents.has_value() == inferred.contents.has_value() &&
         (!type.contents || follow(*type.contents, *inferred.contents));
}

// Unknown extents become symbols that no other value has; those that the value had already stay.
void Graph::set_type(ValueId id, ValueType type) {
  ValueType& stored = values_.at(static_cast<size_t>(id)).type;
  const auto name_unknowns = [&](std::vector<Dim>& dims, const std::vector<Dim>* before, const char* kind) {
    for (size_t i = 0; i < dims.size(); ++i) {
      if (!dims[i].is_unknown()) continue;
      if (before != nullptr && i < before->size() && (*before)[i].is_unknown_symbol() && !(*before)[i].is_unknown()) {
        dims[i] = (*before)[i];
        continue;
      }
      std::string symbol = "?" + std::to_string(id) + kind + std::to_string(i);
      while (!unknowns_.insert(symbol).second) symbol += "_";
      dims[i] = Dim::symbol(symbol);
    }
  };
  name_unknowns(type.shape, &stored.shape, "_");
  if (type.contents) name_unknowns(*type.contents, stored.contents ? &*stored.contents : nullptr, "v");
  stored = std::move(type);
}

std::string Graph::unique_name(std::string name) const {
  if (name.empty()) name = "value";
  if (!names_.contains(name)) return name;
  for (int number = 2;; ++number) {
    std::string candidate = name + ":" + std::to_string(number);
    if (!names_.contains(candidate)) return candidate;
  }
}

ValueId Graph::add_value(std::string name, ValueType type) {
  const auto id = static_cast<ValueId>(values_.size());
  name = unique_name(std::move(name));
  names_.emplace(name, id);
  values_.push_back({std::move(name), {}, none, 0, nullptr});
  set_type(id, std::move(type));
  return id;
}

ValueId Graph::add_input(std::string name, ValueType type) {
  inputs_.push_back(add_value(std::move(name), std::move(type)));
  return inputs_.back();
}

ValueId Graph::add_constant(std::string name, ConstantPtr constant) {
  INCIPIT_ASSERT(constant != nullptr);
  const ValueId id = add_value(std::move(name), type_of(*constant));
  values_[static_cast<size_t>(id)].constant = std::move(constant);
  return id;
}

std::vector<ValueType> Graph::infer_types(const std::string& name, const Op& op,
                                          const std::vector<ValueId>& inputs) const {
  std::vector<ValueType> types;
  types.reserve(inputs.size());
  for (const ValueId input : inputs) types.push_back(input == none ? ValueType::absent() : value(input).type);
  try {
    return op.infer(types);
  } catch (const Error& error) {
    throw Error(name, std::string(op.name()) + " " + error.fault(), error.remedy());
  }
}

std::vector<ValueId> Graph::insert_node(NodeId before, std::string name, std::unique_ptr<Op> op,
                                        std::vector<ValueId> inputs) {
  while (!inputs.empty() && inputs.back() == none) inputs.pop_back();
  const std::vector<ValueType> types = infer_types(name, *op, inputs);
  const auto id = static_cast<NodeId>(nodes_.size());
  std::vector<ValueId> outputs;
  for (size_t i = 0; i < types.size(); ++i) {
    const ValueId output = add_value(i == 0 ? name : name + "." + std::to_string(i), types[i]);
    values_[static_cast<size_t>(output)].producer = id;
    values_[static_cast<size_t>(output)].producer_output = static_cast<int32_t>(i);
    outputs.push_back(output);
  }
  nodes_.push_back({std::move(name), std::move(op), std::move(inputs), outputs});
  const auto place = before == none ? order_.end() : std::find(order_.begin(), order_.end(), before);
  INCIPIT_ASSERT(before == none || place != order_.end());
  order_.insert(place, id);
  return outputs;
}

std::vector<ValueId> Graph::add_node(std::string name, std::unique_ptr<Op> op, std::vector<ValueId> inputs) {
  return insert_node(none, std::move(name), std::move(op), std::move(inputs));
}

void Graph::set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }

ValueId Graph::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? none : found->second;
}

std::vector<ValueId> Graph::constants() const {
  std::vector<ValueId> found;
  std::vector<bool> seen(values_.size(), false);
  const auto take = [&](ValueId id) {
    if (id == none || seen[static_cast<size_t>(id)] || !value(id).constant) return;
    seen[static_cast<size_t>(id)] = true;
    found.push_back(id);
  };
  for (const NodeId n : order_) {
    for (const ValueId input : node(n).inputs) take(input);
  }
  for (ValueId id = 0; id < static_cast<ValueId>(values_.size()); ++id) take(id);
  return found;
}

std::vector<std::pair<NodeId, int32_t>> Graph::uses(ValueId id) const {
  std::vector<std::pair<NodeId, int32_t>> found;
  for (const NodeId n : order_) {
    const std::vector<ValueId>& inputs = node(n).inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == id) found.emplace_back(n, static_cast<int32_t>(i));
    }
  }
  return found;
}

bool Graph::is_output(ValueId id) const { return std::find(outputs_.begin(), outputs_.end(), id) != outputs_.end(); }

int32_t Graph::use_count(ValueId id) const {
  return static_cast<int32_t>(uses(id).size()) + static_cast<int32_t>(std::count(outputs_.begin(), outputs_.end(), id));
}

void Graph::set_input(NodeId node_id, int32_t index, ValueId value_id) {
  std::vector<ValueId>& inputs = nodes_.at(static_cast<size_t>(node_id)).inputs;
  if (static_cast<size_t>(index) >= inputs.size()) inputs.resize(static_cast<size_t>(index) + 1, none);
  inputs[static_cast<size_t>(index)] = value_id;
  while (!inputs.empty() && inputs.back() == none) inputs.pop_back();
}

void Graph::change_op(NodeId id, std::unique_ptr<Op> op) {
  const std::vector<ValueType> types = infer_types(node(id).name, *op, node(id).inputs);
  std::vector<ValueId> outputs = node(id).outputs;
  INCIPIT_ASSERT(types.size() >= outputs.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (i < outputs.size()) {
      set_type(outputs[i], types[i]);
      continue;
    }
    outputs.push_back(add_value(value(outputs[0]).name + "." + std::to_string(i), types[i]));
    values_[static_cast<size_t>(outputs[i])].producer = id;
    values_[static_cast<size_t>(outputs[i])].producer_output = static_cast<int32_t>(i);
  }
  nodes_[static_cast<size_t>(id)].op = std::move(op);
  nodes_[static_cast<size_t>(id)].outputs = std::move(outputs);
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (const NodeId n : order_) {
    std::vector<ValueId>& inputs = nodes_[static_cast<size_t>(n)].inputs;
    std::replace(inputs.begin(), inputs.end(), from, to);
  }
  std::replace(outputs_.begin(), outputs_.end(), from, to);
}

void Graph::remove_node(NodeId id) {
  Node& node = nodes_.at(static_cast<size_t>(id));
  for (const ValueId output : node.outputs) {
    INCIPIT_ASSERT(use_count(output) == 0);
    Value& dead = values_[static_cast<size_t>(output)];
    names_.erase(dead.name);
    dead = {};
  }
  order_.erase(std::find(order_.begin(), order_.end(), id));
  node = {};
}

void Graph::rename(ValueId id, std::string name) {
  Value& renamed = values_.at(static_cast<size_t>(id));
  names_.erase(renamed.name);
  renamed.name = unique_name(std::move(name));
  names_.emplace(renamed.name, id);
}

void Graph::set_constant(ValueId id, ConstantPtr constant) {
  Value& changed = values_.at(static_cast<size_t>(id));
  INCIPIT_ASSERT(changed.constant && constant && changed.constant->shape() == constant->shape());
  changed.type = type_of(*constant);
  changed.constant = std::move(constant);
}

void Graph::sort() {
  enum class State : uint8_t { waiting, open, done };
  std::vector<State> state(nodes_.size(), State::waiting);
  std::vector<NodeId> sorted;
  sorted.reserve(order_.size());
  // A node is put out right after what it needs; nodes that were in order already stay where they are. The stack holds
  // nodes whose producers are being put out.
  std::vector<NodeId> stack;
  for (const NodeId root : order_) {
    stack.push_back(root);
    while (!stack.empty()) {
      const NodeId n = stack.back();
      State& mine = state[static_cast<size_t>(n)];
      if (mine == State::done) {
        stack.pop_back();
        continue;
      }
      mine = State::open;
      const size_t depth = stack.size();
      for (const ValueId input : node(n).inputs) {
        const NodeId producer = input == none ? none : value(input).producer;
        if (producer == none || state[static_cast<size_t>(producer)] == State::done) continue;
        INCIPIT_ASSERT(state[static_cast<size_t>(producer)] == State::waiting);  // else a cycle
        stack.push_back(producer);
        break;
      }
      if (stack.size() == depth) {
        mine = State::done;
        sorted.push_back(n);
        stack.pop_back();
      }
    }
  }
  order_ = std::move(sorted);
}

int32_t Graph::remove_unused() {
  std::vector<bool> needed(values_.size(), false);
  for (const ValueId output : outputs_) needed[static_cast<size_t>(output)] = true;
  for (const ValueId input : inputs_) needed[static_cast<size_t>(input)] = true;
  std::vector<NodeId> dead;
  for (auto n = order_.rbegin(); n != order_.rend(); ++n) {
    const Node& candidate = node(*n);
    const bool live = std::any_of(candidate.outputs.begin(), candidate.outputs.end(),
                                  [&](ValueId output) { return needed[static_cast<size_t>(output)]; });
    if (!live) {
      dead.push_back(*n);
      continue;
    }
    for (const ValueId input : candidate.inputs) {
      if (input != none) needed[static_cast<size_t>(input)] = true;
    }
  }
  for (const NodeId n : dead) remove_node(n);
  for (size_t id = 0; id < values_.size(); ++id) {
    Value& constant = values_[id];
    if (!constant.constant || needed[id]) continue;
    names_.erase(constant.name);
    constant = {};
  }
  return static_cast<int32_t>(dead.size());
}

}  // namespace incipit
