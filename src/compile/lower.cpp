#include "compile/lower.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"
#include "graph/ops/router.h"
#include "graph/ops/scale.h"
#include "graph/ops/slice_columns.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/weighted_sum.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

int32_t narrow(int64_t value) {
  INCIPIT_ASSERT(value >= 0 && value <= INT32_MAX);
  return static_cast<int32_t>(value);
}

Activation activation_from(std::string_view name) {
  for (size_t i = 0; i < activation_names.size(); ++i) {
    if (activation_names[i] == name) return static_cast<Activation>(i);
  }
  throw Error("graph", "unknown activation '" + std::string(name) + "'");
}

ConstantPtr as_f32(ConstantPtr constant) {
  return constant->dtype() == DType::f32 ? constant : convert(std::move(constant), DType::f32);
}

class Lowering {
 public:
  Lowering(const Model& model, const LowerOptions& options)
      : graph_(model.graph), options_(options), max_position_(model.max_position) {}
  explicit Lowering(const Graph& plain) : graph_(plain), is_plain_(true) {}

  PlanDraft run() {
    bind_inputs();
    find_packed_tables();
    const std::vector<NodeId>& order = graph_.order();
    for (size_t i = 0; i < order.size(); ++i) step_of_node_[order[i]] = static_cast<int64_t>(i);
    for (NodeId id : order) {
      now_ = step_of_node_.at(id);
      lower_node(graph_.node(id));
    }
    INCIPIT_ASSERT(graph_.outputs().size() == 1);
    const DraftOperand logits = ensure_whole(graph_.outputs()[0], "logits");
    draft_.logits = logits.index;
    return std::move(draft_);
  }

  RowSteps run_plain() {
    RowSteps rows;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.op->shapes_follow_values()) continue;  // a primitive
      for (const ValueId input : node.inputs) {
        if (input == none || graph_.value(input).constant != nullptr || where_.contains(input)) continue;
        new_buffer(input);
      }
      const size_t before = draft_.steps.size();
      lower_node(node);
      if (draft_.steps.size() != before + 1) {
        throw Error(node.name, "is a view of columns, which plain graphs do not have", "build with the pass fuse_gate");
      }
      rows.steps[id] = narrow(static_cast<int64_t>(before));
    }
    for (const auto& [buffer, held] : roots_) rows.values.push_back(held.front().first);
    rows.draft = std::move(draft_);
    return rows;
  }

 private:
  // ---- values and where they are

  void bind_inputs() {
    if (graph_.inputs().size() != 3) throw not_decoder("it does not have the inputs ids, position and rows");
    const std::array<DraftSpace, 3> spaces{DraftSpace::ids, DraftSpace::positions, DraftSpace::rows};
    for (size_t i = 0; i < 3; ++i) where_[graph_.inputs()[i]] = DraftOperand{spaces[i], 0, 0, 1};
    token_axis_ = graph_.value(graph_.inputs()[0]).type.shape.at(0);
    row_axis_ = graph_.value(graph_.inputs()[2]).type.shape.at(0);
  }

  static Error not_decoder(const std::string& why) {
    return {"graph", "it is not in decoder form: " + why, "only decoder models can be compiled"};
  }

  DraftAxis axis_of(ValueId value) const {
    if (is_plain_) return DraftAxis::tokens;
    const Dim& rows = graph_.value(value).type.shape.at(0);
    if (rows == token_axis_) return DraftAxis::tokens;
    if (rows == row_axis_) return DraftAxis::rows;
    throw not_decoder("value " + graph_.value(value).name + " has " + rows.text() + " rows");
  }

  int64_t width_of(ValueId value) const {
    const ValueType& type = graph_.value(value).type;
    return type.shape.size() < 2 ? 1 : type.shape.back().constant();
  }
  DType dtype_of(ValueId value) const { return graph_.value(value).type.dtype; }

  const DraftOperand& at(ValueId value) const {
    const auto found = where_.find(value);
    INCIPIT_ASSERT(found != where_.end());
    return found->second;
  }

  DraftOperand new_buffer(ValueId value) {
    DraftBuffer buffer{graph_.value(value).name, dtype_of(value), axis_of(value), width_of(value)};
    draft_.buffers.push_back(buffer);
    return whole(value, narrow(static_cast<int64_t>(draft_.buffers.size()) - 1), buffer.width);
  }

  DraftOperand whole(ValueId value, int32_t index, int64_t width) {
    roots_[index].push_back({value, 0});
    return where_[value] = DraftOperand{DraftSpace::buffer, index, 0, width};
  }

  /// Puts `value` into the memory of `input` when nothing reads that memory after this node; else into a new buffer.
  DraftOperand in_place_or_new(ValueId value, ValueId input) {
    if (is_plain_) return new_buffer(value);
    const DraftOperand operand = input == none ? DraftOperand{} : at(input);
    const bool fits = operand.space == DraftSpace::buffer && dtype_of(value) == dtype_of(input) &&
                      operand.width == width_of(value) && axis_of(value) == axis_of(input);
    if (!fits || used_later(operand)) return new_buffer(value);
    roots_[operand.index].push_back({value, operand.column});
    return where_[value] = operand;
  }

  /// Whether any part of a buffer's columns is read after the current node.
  bool used_later(const DraftOperand& operand) const {
    for (const auto& [root, column] : roots_.at(operand.index)) {
      if (range_used_later(root, operand.column - column, operand.width)) return true;
    }
    return false;
  }

  bool range_used_later(ValueId value, int64_t first, int64_t count) const {
    const int64_t begin = std::max<int64_t>(first, 0);
    const int64_t end = std::min(first + count, width_of(value));
    if (begin >= end) return false;
    if (graph_.is_output(value)) return true;
    for (const auto& [node, input] : graph_.uses(value)) {
      if (const auto* slice = graph_.op_as<ops::SliceColumns>(node)) {
        if (range_used_later(graph_.node(node).outputs[0], begin - slice->first, end - begin)) return true;
      } else if (step_of_node_.at(node) > now_) {
        return true;
      }
    }
    return false;
  }

  /// An operand that is a whole, zero-padded buffer, as GEMM inputs must be: a column view is copied.
  DraftOperand ensure_whole(ValueId value, const std::string& name) {
    const DraftOperand operand = at(value);
    INCIPIT_ASSERT(operand.space == DraftSpace::buffer);
    if (operand.column == 0 && draft_.buffers[static_cast<size_t>(operand.index)].width == operand.width)
      return operand;
    Elementwise::Problem copy;
    copy.op = ElementwiseOp::copy;
    copy.width = narrow(operand.width);
    copy.first = copy.second = copy.output = dtype_of(value);
    draft_.buffers.push_back({name + ".copy", dtype_of(value), axis_of(value), operand.width});
    const DraftOperand target{DraftSpace::buffer, narrow(static_cast<int64_t>(draft_.buffers.size()) - 1), 0,
                              operand.width};
    add_step(name + ".copy", to_text(copy), axis_of(value), {operand, DraftOperand{}}, {target});
    return target;
  }

  void add_step(std::string name, std::string problem, DraftAxis axis, std::vector<DraftOperand> inputs,
                std::vector<DraftOperand> outputs) {
    draft_.steps.push_back({std::move(name), std::move(problem), axis, std::move(inputs), std::move(outputs)});
  }

  // ---- weights

  static DraftOperand weight_operand(int32_t index) { return {DraftSpace::weight, index, 0, 0}; }

  DraftOperand dense_weight(ValueId value, bool as_float) {
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

  struct PackedKey {
    const Constant* values;
    const Constant* bias;
    WeightFormat format;
    bool gated;
    auto operator<=>(const PackedKey&) const = default;
  };

  DraftOperand packed_weight(ValueId values, ValueId scales, ValueId bias, WeightFormat format, bool gated) {
    const auto constant_of = [&](ValueId id) { return id == none ? nullptr : graph_.value(id).constant; };
    if (constant_of(values) == nullptr) throw not_decoder("weight " + graph_.value(values).name + " is not a constant");
    const PackedKey key{constant_of(values).get(), constant_of(bias).get(), format, gated};
    if (const auto found = packed_.find(key); found != packed_.end()) return weight_operand(found->second);
    DraftWeight weight;
    weight.name = graph_.value(values).name;
    weight.dense = false;
    weight.format = format;
    weight.gated = gated;
    weight.values = constant_of(values);
    weight.scales = constant_of(scales);
    if (const Shape shape = weight.values->shape(); shape.size() == 3) {
      weight.experts = shape[0];
      weight.values = reshape(weight.values, {shape[0] * shape[1], shape[2]});
      if (weight.scales != nullptr) weight.scales = reshape(weight.scales, {shape[0] * shape[1]});
    }
    if (bias != none) weight.bias = as_f32(constant_of(bias));
    draft_.weights.push_back(std::move(weight));
    const int32_t index = narrow(static_cast<int64_t>(draft_.weights.size()) - 1);
    packed_[key] = index;
    return weight_operand(index);
  }

  /// How a product of `input` rows keeps its weight: f32 rows meet f16 weights as they are, and all others in f32.
  static WeightFormat format_for(DType input, DType weight) {
    INCIPIT_ASSERT(input == DType::f32 || input == DType::bf16);
    if (input == DType::bf16) return WeightFormat::bf16;
    return weight == DType::f16 ? WeightFormat::f16 : WeightFormat::f32;
  }

  /// Tables that are also a product's plain weight (tied embeddings) are kept once, packed.
  void find_packed_tables() {
    for (NodeId id : graph_.order()) {
      const auto* linear = graph_.op_as<ops::Linear>(id);
      const Node& node = graph_.node(id);
      if (linear == nullptr || is_gated(activation_from(linear->activation)) || optional_input(node, 2) != none)
        continue;
      const ConstantPtr& weight = graph_.value(node.inputs[1]).constant;
      if (weight != nullptr)
        packed_tables_.emplace(weight.get(),
                               std::pair{node.inputs[1], format_for(dtype_of(node.inputs[0]), weight->dtype())});
    }
  }

  static ValueId optional_input(const Node& node, size_t index) {
    return index < node.inputs.size() ? node.inputs[index] : none;
  }
  DraftOperand optional_operand(const Node& node, size_t index) const {
    const ValueId value = optional_input(node, index);
    return value == none ? DraftOperand{} : at(value);
  }

  // ---- nodes

  void lower_node(const Node& node) {
    const Op* op = node.op.get();
    if (const auto* o = dynamic_cast<const ops::Embedding*>(op)) return embedding(node, *o);
    if (const auto* o = dynamic_cast<const ops::Linear*>(op)) return linear(node, *o);
    if (const auto* o = dynamic_cast<const ops::QuantizedLinear*>(op)) return quantized_linear(node, *o);
    if (const auto* o = dynamic_cast<const ops::ExpertLinear*>(op)) {
      return expert_linear(node, o->top_k, o->activation, node.inputs[2], none);
    }
    if (const auto* o = dynamic_cast<const ops::QuantizedExpertLinear*>(op)) {
      return expert_linear(node, o->top_k, o->activation, node.inputs[3], node.inputs[4]);
    }
    if (const auto* o = dynamic_cast<const ops::Router*>(op)) return router(node, *o);
    if (dynamic_cast<const ops::WeightedSum*>(op) != nullptr) return weighted_sum(node);
    if (const auto* o = dynamic_cast<const ops::QuantizeRows*>(op)) return quantize_rows(node, *o);
    if (dynamic_cast<const ops::Convert*>(op) != nullptr)
      return elementwise(node, ElementwiseOp::copy, Activation::none);
    if (const auto* o = dynamic_cast<const ops::RmsNorm*>(op)) return rms_norm(node, *o);
    if (const auto* o = dynamic_cast<const ops::AddRmsNorm*>(op)) return add_rms_norm(node, *o);
    if (const auto* o = dynamic_cast<const ops::LayerNorm*>(op)) return layer_norm(node, *o);
    if (dynamic_cast<const ops::Add*>(op) != nullptr) return elementwise(node, ElementwiseOp::add, Activation::none);
    if (dynamic_cast<const ops::Multiply*>(op) != nullptr)
      return elementwise(node, ElementwiseOp::multiply, Activation::none);
    if (const auto* o = dynamic_cast<const ops::Activate*>(op))
      return elementwise(node, ElementwiseOp::activate, activation_from(o->kind));
    if (const auto* o = dynamic_cast<const ops::Scale*>(op))
      return elementwise(node, ElementwiseOp::scale, Activation::none, o->factor);
    if (const auto* o = dynamic_cast<const ops::SoftCap*>(op))
      return elementwise(node, ElementwiseOp::soft_cap, Activation::none, o->cap);
    if (const auto* o = dynamic_cast<const ops::SliceColumns*>(op)) return slice_columns(node, *o);
    if (dynamic_cast<const ops::GatherRows*>(op) != nullptr) return gather_rows(node);
    if (const auto* o = dynamic_cast<const ops::RotaryTable*>(op)) return rotary_table(node, *o);
    if (const auto* o = dynamic_cast<const ops::ApplyRotary*>(op)) {
      return apply_rotary(node, at(node.inputs[1]), o->heads, o->head_dim, o->interleaved);
    }
    if (const auto* o = dynamic_cast<const ops::Rotary*>(op)) return rotary(node, *o);
    if (const auto* o = dynamic_cast<const ops::KvWrite*>(op)) return kv_write(node, *o);
    if (const auto* o = dynamic_cast<const ops::Attention*>(op)) return attention(node, *o);
    throw Error(node.name, "op " + std::string(op->name()) + " has no kernel", "only decoder graphs compile");
  }

  void embedding(const Node& node, const ops::Embedding& op) {
    const ConstantPtr& table = graph_.value(node.inputs[1]).constant;
    if (table == nullptr) throw not_decoder("the embedding table is not a constant");
    const ValueId out = node.outputs[0];
    const bool of_tokens = at(node.inputs[0]).space == DraftSpace::ids;
    if (!of_tokens) require_positions(node, table->shape()[0]);
    if (const auto tied = packed_tables_.find(table.get()); of_tokens && tied != packed_tables_.end()) {
      const auto [value, format] = tied->second;
      PackedEmbedding::Problem problem{narrow(table->shape()[0]), narrow(table->shape()[1]), format, op.scale};
      add_step(node.name, to_text(problem), axis_of(out),
               {at(node.inputs[0]), packed_weight(value, none, none, format, false)}, {new_buffer(out)});
      return;
    }
    incipit::Embedding::Problem problem{narrow(table->shape()[0]), narrow(table->shape()[1]), table->dtype(),
                                        DType::f32, op.scale};
    add_step(node.name, to_text(problem), axis_of(out), {at(node.inputs[0]), dense_weight(node.inputs[1], false)},
             {new_buffer(out)});
  }

  /// A learned vector for each position that the model may have.
  void require_positions(const Node& node, int64_t rows) const {
    const DraftSpace space = at(node.inputs[0]).space;
    if (space != DraftSpace::positions && space != DraftSpace::row_positions) {
      throw not_decoder(node.name + " looks up something other than ids or positions");
    }
    if (rows < max_position_) {
      throw Error(node.name,
                  "has " + std::to_string(rows) + " rows for " + std::to_string(max_position_) + " positions",
                  "mend the checkpoint's config.json");
    }
  }

  void product(const Node& node, const incipit::Linear::Problem& problem, std::vector<DraftOperand> inputs,
               ValueId residual) {
    const ValueId out = node.outputs[0];
    const DraftOperand rows = inputs.front(), added = residual == none ? DraftOperand{} : at(residual);
    inputs.push_back(added);
    // Tiles read the input's rows when others have written their results.
    const bool is_input = rows.space == added.space && rows.index == added.index;
    const DraftOperand output = in_place_or_new(out, is_input ? none : residual);
    add_step(node.name, to_text(problem), axis_of(out), std::move(inputs), {output});
  }

  void linear(const Node& node, const ops::Linear& op) {
    const ValueId x = node.inputs[0];
    const ValueId weight = node.inputs[1];
    const ValueId bias = optional_input(node, 2);
    const ValueId residual = optional_input(node, 3);
    incipit::Linear::Problem problem;
    problem.activation = activation_from(op.activation);
    problem.n = narrow(graph_.value(weight).type.shape.at(0).constant());
    problem.k = narrow(graph_.value(weight).type.shape.at(1).constant());
    problem.input = dtype_of(x);
    problem.format = format_for(problem.input, dtype_of(weight));
    problem.output = dtype_of(node.outputs[0]);
    problem.bias = bias != none;
    problem.residual = residual != none;
    product(
        node, problem,
        {ensure_whole(x, node.name), packed_weight(weight, none, bias, problem.format, is_gated(problem.activation))},
        residual);
  }

  void quantized_linear(const Node& node, const ops::QuantizedLinear& op) {
    const ValueId weight = node.inputs[2];
    const ValueId bias = optional_input(node, 4);
    const ValueId residual = optional_input(node, 5);
    incipit::Linear::Problem problem;
    problem.activation = activation_from(op.activation);
    problem.n = narrow(graph_.value(weight).type.shape.at(0).constant());
    problem.k = narrow(graph_.value(weight).type.shape.at(1).constant());
    problem.input = dtype_of(node.inputs[0]);
    problem.format = WeightFormat::i8;
    problem.output = dtype_of(node.outputs[0]);
    problem.bias = bias != none;
    problem.residual = residual != none;
    std::vector<DraftOperand> inputs{ensure_whole(node.inputs[0], node.name)};
    if (!problem.quantizes()) inputs.push_back(at(node.inputs[1]));
    inputs.push_back(packed_weight(weight, node.inputs[3], bias, WeightFormat::i8, is_gated(problem.activation)));
    product(node, problem, std::move(inputs), residual);
  }

  /// Codes have their scales as second input.
  void expert_linear(const Node& node, int64_t top_k, const std::string& activation, ValueId weight, ValueId scales) {
    const ValueId x = node.inputs[0];
    const ValueId out = node.outputs[0];
    const bool coded = scales != none;
    const auto& shape = graph_.value(weight).type.shape;
    incipit::ExpertLinear::Problem problem;
    problem.experts = narrow(shape.at(0).constant());
    problem.top_k = narrow(top_k);
    problem.n = narrow(shape.at(1).constant());
    problem.k = narrow(shape.at(2).constant());
    problem.input = dtype_of(x);
    problem.format = coded ? WeightFormat::i8 : format_for(problem.input, dtype_of(weight));
    problem.output = dtype_of(out);
    problem.activation = activation_from(activation);
    problem.shared = width_of(x) == problem.k;
    problem.slot_scales = coded && !problem.shared && width_of(node.inputs[1]) == top_k;
    std::vector<DraftOperand> inputs{at(x)};
    if (coded) inputs.push_back(at(node.inputs[1]));
    inputs.push_back(at(node.inputs[coded ? 2 : 1]));
    inputs.push_back(packed_weight(weight, scales, none, problem.format, is_gated(problem.activation)));
    add_step(node.name, to_text(problem), axis_of(out), std::move(inputs), {new_buffer(out)});
  }

  void router(const Node& node, const ops::Router& op) {
    const ValueId logits = node.inputs[0];
    incipit::Router::Problem problem{narrow(width_of(logits)), narrow(op.top_k), op.normalize};
    add_step(node.name, to_text(problem), axis_of(logits), {at(logits)},
             {new_buffer(node.outputs[0]), new_buffer(node.outputs[1])});
  }

  void weighted_sum(const Node& node) {
    const ValueId residual = optional_input(node, 2);
    const ValueId out = node.outputs[0];
    incipit::WeightedSum::Problem problem{narrow(width_of(out)), narrow(width_of(node.inputs[1])), residual != none};
    const std::vector<DraftOperand> inputs{at(node.inputs[0]), at(node.inputs[1]),
                                           residual == none ? DraftOperand{} : at(residual)};
    add_step(node.name, to_text(problem), axis_of(out), inputs, {in_place_or_new(out, residual)});
  }

  void quantize_rows(const Node& node, const ops::QuantizeRows& op) {
    const ValueId x = node.inputs[0];
    incipit::QuantizeRows::Problem problem{narrow(width_of(x)), dtype_of(x), narrow(op.groups)};
    add_step(node.name, to_text(problem), axis_of(x), {at(x)},
             {new_buffer(node.outputs[0]), new_buffer(node.outputs[1])});
  }

  /// A gain or bias, where there is one.
  DraftOperand gain_of(const Node& node, size_t index) {
    const ValueId gain = optional_input(node, index);
    return gain == none ? DraftOperand{} : dense_weight(gain, true);
  }

  void rms_norm(const Node& node, const ops::RmsNorm& op) {
    const ValueId x = node.inputs[0];
    const DraftOperand gain = gain_of(node, 1);
    incipit::RmsNorm::Problem problem{
        narrow(width_of(x)),       op.epsilon,       gain.space != DraftSpace::absent, false,
        dtype_of(node.outputs[0]), narrow(op.groups)};
    const DraftOperand source = at(x);
    std::vector<DraftOperand> outputs{in_place_or_new(node.outputs[0], x)};
    if (node.outputs.size() > 1) outputs.push_back(new_buffer(node.outputs[1]));
    add_step(node.name, to_text(problem), axis_of(x), {source, DraftOperand{}, gain}, std::move(outputs));
  }

  void layer_norm(const Node& node, const ops::LayerNorm& op) {
    const ValueId x = node.inputs[0];
    const DraftOperand gain = gain_of(node, 1), bias = gain_of(node, 2);
    incipit::LayerNorm::Problem problem{narrow(width_of(x)), op.epsilon, gain.space != DraftSpace::absent,
                                        bias.space != DraftSpace::absent, dtype_of(node.outputs[0])};
    std::vector<DraftOperand> outputs{new_buffer(node.outputs[0])};
    if (node.outputs.size() > 1) outputs.push_back(new_buffer(node.outputs[1]));
    add_step(node.name, to_text(problem), axis_of(x), {at(x), gain, bias}, std::move(outputs));
  }

  void add_rms_norm(const Node& node, const ops::AddRmsNorm& op) {
    const ValueId x = node.inputs[0];
    const ValueId sum = node.outputs[0];
    const ValueId norm = node.outputs[1];
    const DraftOperand gain = gain_of(node, 2);
    incipit::RmsNorm::Problem problem{narrow(width_of(x)), op.epsilon, gain.space != DraftSpace::absent, true,
                                      dtype_of(norm)};
    std::vector<DraftOperand> outputs{new_buffer(norm)};
    if (node.outputs.size() > 2) outputs.push_back(new_buffer(node.outputs[2]));
    const std::vector<DraftOperand> inputs{at(x), at(node.inputs[1]), gain};
    outputs.push_back(in_place_or_new(sum, x));
    add_step(node.name, to_text(problem), axis_of(x), inputs, std::move(outputs));
  }

  void elementwise(const Node& node, ElementwiseOp op, Activation activation, float factor = 1) {
    ValueId first = node.inputs[0];
    ValueId second = optional_input(node, 1);
    if (second != none && graph_.value(first).constant != nullptr) std::swap(first, second);
    Elementwise::Problem problem;
    problem.op = op;
    problem.activation = activation;
    problem.factor = factor;
    problem.width = narrow(width_of(first));
    problem.first = dtype_of(first);
    problem.output = dtype_of(node.outputs[0]);
    problem.second = DType::f32;
    DraftOperand other;
    if (second != none) {
      problem.row_vector = graph_.value(second).constant != nullptr;
      other = problem.row_vector ? dense_weight(second, true) : at(second);
      if (!problem.row_vector) problem.second = dtype_of(second);
    }
    const DraftOperand source = at(first);
    const DraftOperand output = in_place_or_new(node.outputs[0], first);
    add_step(node.name, to_text(problem), axis_of(first), {source, other}, {output});
  }

  void slice_columns(const Node& node, const ops::SliceColumns& op) {
    DraftOperand view = at(node.inputs[0]);
    INCIPIT_ASSERT(view.space == DraftSpace::buffer);
    view.column += op.first;
    view.width = op.count;
    where_[node.outputs[0]] = view;
  }

  void gather_rows(const Node& node) {
    const ValueId x = node.inputs[0];
    const ValueId out = node.outputs[0];
    if (at(node.inputs[1]).space != DraftSpace::rows)
      throw not_decoder(node.name + " gathers by something other than rows");
    if (at(x).space == DraftSpace::positions) {
      where_[out] = DraftOperand{DraftSpace::row_positions, 0, 0, 1};
      return;
    }
    incipit::GatherRows::Problem problem{narrow(width_of(x)), dtype_of(x)};
    add_step(node.name, to_text(problem), DraftAxis::rows, {at(x), at(node.inputs[1])}, {new_buffer(out)});
  }

  void add_table_step(const std::string& name, DraftAxis axis, ValueId position, ValueId frequencies, float factor,
                      DraftOperand output) {
    const DraftOperand positions = at(position);
    if (positions.space != DraftSpace::positions && positions.space != DraftSpace::row_positions) {
      throw not_decoder(name + " rotates by something other than positions");
    }
    incipit::RotaryTable::Problem problem{narrow(graph_.value(frequencies).type.shape.at(0).constant()), factor};
    add_step(name, to_text(problem), axis, {positions, dense_weight(frequencies, true)}, {output});
  }

  void rotary_table(const Node& node, const ops::RotaryTable& op) {
    add_table_step(node.name, axis_of(node.outputs[0]), node.inputs[0], node.inputs[1], op.factor,
                   new_buffer(node.outputs[0]));
  }

  void apply_rotary(const Node& node, const DraftOperand& table, int64_t heads, int64_t head_dim, bool interleaved) {
    const ValueId x = node.inputs[0];
    incipit::Rotary::Problem problem{narrow(heads), narrow(head_dim), narrow(table.width / 2),
                                     interleaved,   dtype_of(x),      dtype_of(node.outputs[0])};
    const DraftOperand source = at(x);
    const DraftOperand output = in_place_or_new(node.outputs[0], x);
    add_step(node.name, to_text(problem), axis_of(x), {source, table}, {output});
  }

  /// Without the pass share_rotary each rotation has a table of its own.
  void rotary(const Node& node, const ops::Rotary& op) {
    const ValueId x = node.inputs[0];
    const int64_t pairs = graph_.value(node.inputs[2]).type.shape.at(0).constant();
    draft_.buffers.push_back({node.name + ".table", DType::f32, axis_of(x), 2 * pairs});
    const DraftOperand table{DraftSpace::buffer, narrow(static_cast<int64_t>(draft_.buffers.size()) - 1), 0, 2 * pairs};
    add_table_step(node.name + ".table", axis_of(x), node.inputs[1], node.inputs[2], op.factor, table);
    apply_rotary(node, table, op.heads, op.head_dim, op.interleaved);
  }

  DraftOperand cache_operand(int64_t layer, int64_t window, const KvGeometry& geometry) {
    for (size_t g = 0; g < draft_.groups.size(); ++g) {
      DraftCacheGroup& group = draft_.groups[g];
      if (group.window != window || group.geometry.kv_heads != geometry.kv_heads ||
          group.geometry.head_dim != geometry.head_dim || group.geometry.dtype != geometry.dtype) {
        continue;
      }
      const auto found = std::find(group.layers.begin(), group.layers.end(), layer);
      const int64_t place = found - group.layers.begin();
      if (found == group.layers.end()) {
        group.layers.push_back(layer);
        ++group.geometry.layers;
      }
      return {DraftSpace::cache, narrow(static_cast<int64_t>(g)), place, 0};
    }
    DraftCacheGroup group{{layer}, window, geometry};
    group.geometry.layers = 1;
    draft_.groups.push_back(std::move(group));
    return {DraftSpace::cache, narrow(static_cast<int64_t>(draft_.groups.size()) - 1), 0, 0};
  }

  void kv_write(const Node& node, const ops::KvWrite& op) {
    if (at(node.inputs[2]).space != DraftSpace::positions)
      throw not_decoder(node.name + " does not write at the tokens' positions");
    incipit::KvWrite::Problem problem{narrow(op.kv_heads), narrow(op.head_dim), options_.page_tokens,
                                      dtype_of(node.inputs[0]), dtype_from_name(op.cache)};
    const DraftOperand table = optional_operand(node, 3);
    problem.rotary_pairs = narrow(table.width / 2);
    problem.interleaved = op.interleaved;
    DraftOperand values = at(node.inputs[1]);
    if (dtype_of(node.inputs[1]) != problem.input)
      throw not_decoder(node.name + " has keys and values of different types");
    const DraftOperand cache = cache_operand(op.layer, op.window, problem.geometry());
    where_[node.outputs[0]] = cache;
    add_step(node.name, to_text(problem), DraftAxis::tokens, {at(node.inputs[0]), values, cache, table}, {});
  }

  void attention(const Node& node, const ops::Attention& op) {
    const ValueId q = node.inputs[0];
    const bool over_rows = axis_of(q) == DraftAxis::rows;
    const DraftSpace expected = over_rows ? DraftSpace::row_positions : DraftSpace::positions;
    if (at(node.inputs[1]).space != expected)
      throw not_decoder(node.name + " attends from positions that are not its tokens'");
    incipit::Attention::Problem problem;
    problem.heads = narrow(op.heads);
    problem.kv_heads = narrow(op.kv_heads);
    problem.head_dim = narrow(op.head_dim);
    problem.page_tokens = options_.page_tokens;
    problem.window = narrow(op.window);
    problem.scale = op.scale;
    problem.soft_cap = op.soft_cap;
    problem.over_rows = over_rows;
    problem.query = dtype_of(q);
    problem.cache = dtype_from_name(op.cache);
    problem.output = dtype_of(node.outputs[0]);
    const DraftOperand table = optional_operand(node, 3);
    problem.rotary_pairs = narrow(table.width / 2);
    problem.interleaved = op.interleaved;
    add_step(node.name, to_text(problem), axis_of(q), {at(q), at(node.inputs[2]), table},
             {new_buffer(node.outputs[0])});
  }

  const Graph& graph_;
  LowerOptions options_;
  int64_t max_position_ = 0;
  bool is_plain_ = false;
  PlanDraft draft_;
  Dim token_axis_, row_axis_;
  int64_t now_ = 0;
  std::map<NodeId, int64_t> step_of_node_;
  std::map<ValueId, DraftOperand> where_;
  /// The values that each buffer holds, with their first column.
  std::map<int32_t, std::vector<std::pair<ValueId, int64_t>>> roots_;
  std::map<std::pair<const Constant*, bool>, int32_t> dense_;
  std::map<PackedKey, int32_t> packed_;
  std::map<const Constant*, std::pair<ValueId, WeightFormat>> packed_tables_;
};

}  // namespace

PlanDraft lower(const Model& model, const LowerOptions& options) { return Lowering(model, options).run(); }
RowSteps lower_rows(const Graph& graph) { return Lowering(graph).run_plain(); }

}  // namespace incipit
