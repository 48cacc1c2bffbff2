#include "compile/lowering.h"

#include <algorithm>
#include <array>

#include "graph/ops/kv_write.h"
#include "graph/ops/linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/slice_columns.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

ConstantPtr as_f32(ConstantPtr constant) {
  return constant->dtype() == DType::f32 ? constant : convert(std::move(constant), DType::f32);
}

plan::OperandT weight_operand(int32_t index) { return operand_of(plan::Space::weight, index); }

}  // namespace

uint32_t unsigned32(int64_t value) {
  INCIPIT_ASSERT(value >= 0 && value <= UINT32_MAX);
  return static_cast<uint32_t>(value);
}

plan::OperandT operand_of(plan::Space space, int64_t index, int64_t column, int64_t width) {
  return {{}, space, unsigned32(index), unsigned32(column), unsigned32(width)};
}

int32_t narrow(int64_t value) {
  INCIPIT_ASSERT(value >= 0 && value <= INT32_MAX);
  return static_cast<int32_t>(value);
}

Error not_decoder(const std::string& why) {
  return {"graph", "it is not in decoder form: " + why, "only decoder models can be compiled"};
}

WeightFormat format_for(DType input, DType weight) {
  INCIPIT_ASSERT(input == DType::f32 || input == DType::bf16);
  WeightFormat format;
  format.codes = input == DType::f32 && weight == DType::f16 ? DType::f16 : input;
  format.activation = input;
  return format;
}

ValueId optional_input(const Node& node, size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : none;
}

Lowering::Lowering(const Model& model, const LowerOptions& options)
    : graph_(model.graph), options_(options), max_position_(model.max_position) {}
Lowering::Lowering(const Graph& plain) : graph_(plain), is_plain_(true) {}

void Lowering::bind_inputs() {
  if (graph_.inputs().size() != 3) throw not_decoder("it does not have the inputs ids, position and rows");
  const std::array<plan::Space, 3> spaces{plan::Space::ids, plan::Space::positions, plan::Space::rows};
  for (size_t i = 0; i < 3; ++i) where_[graph_.inputs()[i]] = operand_of(spaces[i], 0, 0, 1);
  token_axis_ = graph_.value(graph_.inputs()[0]).type.shape.at(0);
  row_axis_ = graph_.value(graph_.inputs()[2]).type.shape.at(0);
}

plan::Axis Lowering::axis_of(ValueId value) const {
  if (is_plain_) return plan::Axis::tokens;
  const Dim& rows = graph_.value(value).type.shape.at(0);
  if (rows == token_axis_) return plan::Axis::tokens;
  if (rows == row_axis_) return plan::Axis::rows;
  throw not_decoder("value " + graph_.value(value).name + " has " + rows.text() + " rows");
}

int64_t Lowering::width_of(ValueId value) const {
  const ValueType& type = graph_.value(value).type;
  return type.shape.size() < 2 ? 1 : type.shape.back().constant();
}
const plan::OperandT& Lowering::at(ValueId value) const {
  const auto found = where_.find(value);
  INCIPIT_ASSERT(found != where_.end());
  return found->second;
}

plan::OperandT Lowering::new_buffer(ValueId value, int64_t width) {
  const plan::OperandT buffer = add_buffer(graph_.value(value).name, dtype_of(value), axis_of(value), width);
  roots_[buffer.index].push_back({value, 0});
  return where_[value] = buffer;
}

plan::OperandT Lowering::add_buffer(std::string name, DType dtype, plan::Axis axis, int64_t width) {
  std::vector<plan::BufferT>& buffers = draft_.plan.buffers;
  buffers.push_back({{}, std::move(name), std::string(name_of(dtype)), axis, unsigned32(width)});
  return operand_of(plan::Space::buffer, static_cast<int64_t>(buffers.size()) - 1, 0, width);
}

plan::OperandT Lowering::in_place_or_new(ValueId value, ValueId input) {
  if (is_plain_) return new_buffer(value);
  const plan::OperandT operand = input == none ? plan::OperandT{} : at(input);
  const bool fits = operand.space == plan::Space::buffer && dtype_of(value) == dtype_of(input) &&
                    operand.width == width_of(value) && axis_of(value) == axis_of(input);
  if (!fits || used_later(operand)) return new_buffer(value);
  roots_[operand.index].push_back({value, operand.column});
  return where_[value] = operand;
}

/// Whether any part of a buffer's columns is read after the current node.
bool Lowering::used_later(const plan::OperandT& operand) const {
  for (const auto& [root, column] : roots_.at(operand.index)) {
    if (range_used_later(root, operand.column - column, operand.width)) return true;
  }
  return false;
}

bool Lowering::range_used_later(ValueId value, int64_t first, int64_t count) const {
  const int64_t begin = std::max<int64_t>(first, 0);
  const int64_t end = std::min(first + count, width_of(value));
  if (begin >= end) return false;
  if (graph_.is_output(value)) return true;
  for (const auto& [node, input] : graph_.uses(value)) {
    if (const auto* slice = graph_.op_as<ops::SliceColumns>(node)) {
      if (range_used_later(graph_.node(node).outputs[0], begin - slice->first, end - begin)) return true;
    } else if (step_of_node_.at(node) > now_) {
      return true;
    } else if (graph_.op_as<ops::RmsNorm>(node) != nullptr &&
               norm_in_products(graph_.node(node).outputs[0]) != nullptr) {
      // Products that make the norm read what it is of.
      if (range_used_later(graph_.node(node).outputs[0], begin, end - begin)) return true;
    }
  }
  return false;
}

bool Lowering::is_whole(const plan::OperandT& operand) const {
  return operand.space == plan::Space::buffer && operand.column == 0 &&
         draft_.plan.buffers[operand.index].width == operand.width;
}

plan::OperandT Lowering::ensure_whole(ValueId value, const std::string& name) {
  const plan::OperandT operand = at(value);
  INCIPIT_ASSERT(operand.space == plan::Space::buffer);
  if (is_whole(operand)) return operand;
  Elementwise::Problem copy;
  copy.op = ElementwiseOp::copy;
  copy.width = narrow(operand.width);
  copy.first = copy.second = copy.output = dtype_of(value);
  const plan::OperandT target = add_buffer(name + ".copy", dtype_of(value), axis_of(value), operand.width);
  add_step(name + ".copy", to_text(copy), axis_of(value), {operand, plan::OperandT{}}, {target});
  return target;
}

void Lowering::add_step(std::string name, std::string problem, plan::Axis axis, std::vector<plan::OperandT> inputs,
                        std::vector<plan::OperandT> outputs) {
  plan::StepT& step = draft_.plan.steps.emplace_back();
  step.name = std::move(name);
  step.problem = std::move(problem);
  step.axis = axis;
  step.inputs = std::move(inputs);
  step.outputs = std::move(outputs);
}

plan::OperandT Lowering::dense_weight(ValueId value, bool as_float) {
  const Value& constant = graph_.value(value);
  INCIPIT_ASSERT(constant.constant != nullptr);
  const auto key = std::make_pair(constant.constant.get(), as_float);
  if (const auto found = dense_.find(key); found != dense_.end()) return weight_operand(found->second);
  DraftWeight weight;
  weight.name = constant.name;
  const DType dtype = constant.constant->dtype();
  const bool keep = !as_float && (dtype == DType::bf16 || dtype == DType::f16);
  weight.values = keep ? constant.constant : as_f32(constant.constant);
  draft_.weights.push_back(std::move(weight));
  const int32_t index = narrow(static_cast<int64_t>(draft_.weights.size()) - 1);
  dense_[key] = index;
  return weight_operand(index);
}

plan::OperandT Lowering::packed_weight(const WeightValues& ids, const WeightFormat& format, const RowPairs& pairs) {
  const auto constant_of = [&](ValueId id) { return id == none ? nullptr : graph_.value(id).constant; };
  for (const ValueId id : {ids.values, ids.scales, ids.zero_points}) {
    if (id != none && constant_of(id) == nullptr) {
      throw not_decoder("weight " + graph_.value(id).name + " is not a constant");
    }
  }
  const PackedKey key{constant_of(ids.values).get(), constant_of(ids.bias).get(), format, pairs};
  if (const auto found = packed_.find(key); found != packed_.end()) return weight_operand(found->second);
  DraftWeight weight;
  weight.name = graph_.value(ids.values).name;
  weight.dense = false;
  weight.format = format;
  weight.pairs = pairs;
  weight.values = constant_of(ids.values);
  weight.scales = constant_of(ids.scales);
  weight.zero_points = constant_of(ids.zero_points);
  if (const Shape shape = weight.values->shape(); shape.size() == 3) {
    weight.experts = shape[0];
    weight.values = reshape(weight.values, {shape[0] * shape[1], shape[2]});
  }
  if (ids.bias != none) weight.bias = as_f32(constant_of(ids.bias));
  draft_.weights.push_back(std::move(weight));
  const int32_t index = narrow(static_cast<int64_t>(draft_.weights.size()) - 1);
  packed_[key] = index;
  return weight_operand(index);
}

/// Tables that are also a product's plain weight (tied embeddings) are kept once, packed.
void Lowering::find_packed_tables() {
  for (NodeId id : graph_.order()) {
    const auto* linear = graph_.op_as<ops::Linear>(id);
    const Node& node = graph_.node(id);
    if (linear == nullptr || is_gated(linear->activation) || optional_input(node, 2) != none) continue;
    const ConstantPtr& weight = graph_.value(node.inputs[1]).constant;
    if (weight != nullptr)
      packed_tables_.emplace(weight.get(),
                             std::pair{node.inputs[1], format_for(dtype_of(node.inputs[0]), weight->dtype())});
  }
}

plan::OperandT Lowering::optional_operand(const Node& node, size_t index) const {
  const ValueId value = optional_input(node, index);
  return value == none ? plan::OperandT{} : at(value);
}

plan::OperandT Lowering::early_operand(const Node& node, size_t index) {
  const ValueId value = optional_input(node, index);
  if (value != none) lower_early(value);
  return optional_operand(node, index);
}

void Lowering::lower_early(ValueId value) {
  const NodeId producer = graph_.value(value).producer;
  if (producer == none || where_.contains(value)) return;
  for (const ValueId input : graph_.node(producer).inputs) {
    if (input != none) lower_early(input);
  }
  lower_node(producer);
}

plan::OperandT Lowering::gain_of(const Node& node, size_t index) {
  const ValueId gain = optional_input(node, index);
  return gain == none ? plan::OperandT{} : dense_weight(gain, true);
}

KvOutputs Lowering::kv_outputs(const Node& write) const {
  const auto& op = static_cast<const ops::KvWrite&>(*write.op);
  KvOutputs kv{narrow(op.kv_heads), narrow(op.head_dim), pages().tokens, pages().layout, op.cache};
  const ValueId table = optional_input(write, 3);
  kv.rotary_pairs = table == none ? 0 : narrow(width_of(table) / 2);
  kv.interleaved = op.interleaved;
  return kv;
}

bool Lowering::writes_kv_in_product(const Node& write) const {
  if (!static_cast<const ops::KvWrite&>(*write.op).by_product) return false;
  const ValueId product = graph_.node(graph_.value(write.inputs[0]).producer).inputs[0];
  return kv_outputs(write).fits_blocks(width_of(product));
}

const Node* Lowering::norm_in_products(ValueId input) const {
  const NodeId producer = graph_.value(input).producer;
  if (!options_.norms_in_products || producer == none || graph_.is_output(input)) return nullptr;
  const auto* norm = graph_.op_as<ops::RmsNorm>(producer);
  const Node& node = graph_.node(producer);
  const bool is_plain = norm != nullptr && norm->groups == 1 && optional_input(node, 1) == none &&
                        node.outputs.size() == 1 && dtype_of(node.inputs[0]) == DType::f32;
  if (!is_plain) return nullptr;
  for (const auto& [reader, index] : graph_.uses(input)) {
    if (graph_.op_as<ops::Linear>(reader) == nullptr || index != 0) return nullptr;
  }
  return &node;
}

bool Lowering::can_make_norm(const Linear::Problem& problem) const {
  return std::ranges::any_of(kernels_for<Linear>(*options_.norms_in_products), [&](const Kernel<Linear>* kernel) {
    return kernel->normalizes && kernel->accepts(problem);
  });
}

const Node* Lowering::kv_write_in(ValueId product) const {
  for (const auto& [slice, input] : graph_.uses(product)) {
    if (graph_.op_as<ops::SliceColumns>(slice) == nullptr) continue;
    for (const auto& [reader, index] : graph_.uses(graph_.node(slice).outputs[0])) {
      const Node& write = graph_.node(reader);
      if (graph_.op_as<ops::KvWrite>(reader) != nullptr && writes_kv_in_product(write)) return &write;
    }
  }
  return nullptr;
}

plan::OperandT Lowering::kv_operand(const Node& write) {
  const auto& op = static_cast<const ops::KvWrite&>(*write.op);
  return cache_operand(op.layer, op.window, kv_outputs(write).geometry());
}

plan::OperandT Lowering::cache_operand(int64_t layer, int64_t window, const KvGeometry& geometry) {
  std::vector<plan::CacheGroupT>& groups = draft_.plan.groups;
  const auto kept_alike = [&](const plan::CacheGroupT& group) {
    const plan::CachePlaneT& keys = group.planes.front();
    return group.window == window && keys.heads == unsigned32(geometry.kv_heads) &&
           keys.width == unsigned32(geometry.head_dim) && keys.dtype == name_of(geometry.dtype);
  };
  auto group = std::ranges::find_if(groups, kept_alike);
  if (group == groups.end()) {
    plan::CacheGroupT made;
    made.window = unsigned32(window);
    for (const char* role : {"keys", "values"}) {
      plan::CachePlaneT& plane = made.planes.emplace_back();
      plane.role = role;
      plane.heads = unsigned32(geometry.kv_heads);
      plane.width = unsigned32(geometry.head_dim);
      plane.dtype = name_of(geometry.dtype);
      if (geometry.has_scales()) plane.scale = name_of(DType::f32);
    }
    made.page_tokens = unsigned32(geometry.tokens);
    made.layout = name_of(geometry.layout);
    group = groups.insert(groups.end(), std::move(made));
  }
  auto place = std::ranges::find(group->layers, unsigned32(layer));
  if (place == group->layers.end()) {
    place = group->layers.insert(place, unsigned32(layer));
    group->page_bytes += static_cast<uint64_t>(geometry.layer_bytes());
  }
  return operand_of(plan::Space::cache, group - groups.begin(), place - group->layers.begin());
}

const std::pair<ValueId, WeightFormat>* Lowering::packed_table(const Constant& table) const {
  const auto found = packed_tables_.find(&table);
  return found == packed_tables_.end() ? nullptr : &found->second;
}

}  // namespace incipit
