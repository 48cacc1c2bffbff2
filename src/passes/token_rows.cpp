#include "passes/token_rows.h"

#include "graph/ops/add.h"
#include "graph/ops/linear.h"
#include "graph/ops/slice_columns.h"
#include "graph/same_contents.h"
#include "passes/primitive_match.h"

namespace incipit {

const PackedValue* TokenRows::find(ValueId value) const {
  const auto found = values_.find(value);
  return found == values_.end() ? nullptr : &found->second;
}

const PackedValue& TokenRows::tokens(ValueId value) const {
  const PackedValue* found = find(value);
  if (found == nullptr) throw Refusal{"reads " + called(value) + ", which is no value of one token each"};
  return *found;
}

const PackedValue& TokenRows::rows_of(ValueId value) const {
  const PackedValue& found = tokens(value);
  if (found.holds_past) throw Refusal{"works on the keys or values of all tokens at once"};
  return found;
}

std::string TokenRows::called(ValueId value) const { return value == none ? "nothing" : graph_.value(value).name; }

size_t TokenRows::axis_of(int64_t axis, const PackedValue& x) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.axes.rank()) : axis);
}

ConstantPtr TokenRows::weight_of(ValueId value) const {
  if (value == none) return nullptr;
  if (graph_.value(value).constant) return graph_.value(value).constant;
  if (past_casts(graph_, value) != value) return weight_of(past_casts(graph_, value));
  const auto* turn = graph_.producer_as<ops::Transpose>(value);
  if (turn == nullptr || rank_of(graph_, value) != 2 || (!turn->perm.empty() && turn->perm[0] != 1)) return nullptr;
  const ConstantPtr source = weight_of(graph_.node(graph_.value(value).producer).inputs[0]);
  return source == nullptr ? nullptr : transpose(source);
}

ConstantPtr TokenRows::weight_rows(ValueId value) const {
  const ValueId source = past_casts(graph_, value);
  if (graph_.producer_as<ops::Transpose>(source) != nullptr) {
    return weight_of(graph_.node(graph_.value(source).producer).inputs[0]);
  }
  return transpose(weight_of(value));
}

ValueId TokenRows::add_weight(const std::string& name, const ConstantPtr& constant) {
  for (const ValueId known : weights_) {
    if (same_contents(*packed_.value(known).constant, *constant)) return known;
  }
  weights_.push_back(packed_.add_constant(name, constant));
  return weights_.back();
}

ConstantPtr TokenRows::vector_for(ValueId value, const PackedValue& x) const {
  const std::vector<int64_t> features = x.axes.features();
  if (features.empty() || !is_last_axis_vector(graph_, value, Dim(features.back()))) return nullptr;
  ConstantPtr vector = reshape(graph_.value(value).constant, {features.back()});
  const int64_t repeats = x.axes.width() / features.back();
  return repeats == 1 ? vector : concatenate_rows(std::vector<ConstantPtr>(static_cast<size_t>(repeats), vector));
}

void TokenRows::put(ValueId output, ValueId value, TokenAxes axes, bool holds_past) {
  values_[output] = {value, std::move(axes), holds_past};
}

ValueId TokenRows::columns(const std::string& name, ValueId value, const RowBlocks& blocks) {
  const NodeId producer = packed_.value(value).producer;
  const std::vector<ValueId> inputs = producer == none ? std::vector<ValueId>{} : packed_.node(producer).inputs;
  if (packed_.producer_as<ops::Linear>(value) != nullptr) {
    const ConstantPtr rows = select_rows(packed_.value(inputs[1]).constant, blocks);
    return packed_.add(name, ops::Linear{}, {inputs[0], packed_.add_constant(name + ".weight", rows)});
  }
  if (packed_.producer_as<ops::Add>(value) != nullptr && is_constant_vector(packed_, inputs[1])) {
    const ConstantPtr part = select_rows(packed_.value(inputs[1]).constant, blocks);
    const ValueId x = columns(name, inputs[0], blocks);
    return packed_.add(name + ".add_bias", ops::Add{}, {x, packed_.add_constant(name + ".bias", part)});
  }
  if (blocks.blocks != 1) throw Refusal{"cuts the features of tokens that no product made"};
  ops::SliceColumns op;
  op.first = blocks.first;
  op.count = blocks.rows;
  return packed_.add(name, std::move(op), {value});
}

}  // namespace incipit
