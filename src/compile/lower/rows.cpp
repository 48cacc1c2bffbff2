// What works on whole rows: norms, conversions, sums, activations, slices of columns, gathered rows.
#include "compile/lowering.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/convert.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/multiply.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/scale.h"
#include "graph/ops/slice_columns.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/xielu.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

void quantize_rows(Lowering& plan, const Node& node, const ops::QuantizeRows& op) {
  const ValueId x = node.inputs[0];
  QuantizeRows::Problem problem{narrow(plan.width_of(x)), plan.dtype_of(x), narrow(op.groups)};
  plan.add_step(node.name, to_text(problem), plan.axis_of(x), {plan.at(x)},
                {plan.new_buffer(node.outputs[0]), plan.new_buffer(node.outputs[1])});
}

void rms_norm(Lowering& plan, const Node& node, const ops::RmsNorm& op) {
  const ValueId x = node.inputs[0];
  const plan::OperandT gain = plan.gain_of(node, 1);
  RmsNorm::Problem problem{narrow(plan.width_of(x)),       op.epsilon,       gain.space != plan::Space::absent, false,
                           plan.dtype_of(node.outputs[0]), narrow(op.groups)};
  const plan::OperandT source = plan.at(x);
  std::vector<plan::OperandT> outputs{plan.in_place_or_new(node.outputs[0], x)};
  if (node.outputs.size() > 1) outputs.push_back(plan.new_buffer(node.outputs[1]));
  plan.add_step(node.name, to_text(problem), plan.axis_of(x), {source, plan::OperandT{}, gain}, std::move(outputs));
}

void layer_norm(Lowering& plan, const Node& node, const ops::LayerNorm& op) {
  const ValueId x = node.inputs[0];
  const plan::OperandT gain = plan.gain_of(node, 1), bias = plan.gain_of(node, 2);
  LayerNorm::Problem problem{narrow(plan.width_of(x)),          op.epsilon,
                             gain.space != plan::Space::absent, bias.space != plan::Space::absent,
                             plan.dtype_of(node.outputs[0]),    narrow(op.groups)};
  std::vector<plan::OperandT> outputs{plan.new_buffer(node.outputs[0])};
  if (node.outputs.size() > 1) outputs.push_back(plan.new_buffer(node.outputs[1]));
  plan.add_step(node.name, to_text(problem), plan.axis_of(x), {plan.at(x), gain, bias}, std::move(outputs));
}

void add_rms_norm(Lowering& plan, const Node& node, const ops::AddRmsNorm& op) {
  const ValueId x = node.inputs[0];
  const ValueId sum = node.outputs[0];
  const ValueId norm = node.outputs[1];
  const plan::OperandT gain = plan.gain_of(node, 2);
  RmsNorm::Problem problem{narrow(plan.width_of(x)), op.epsilon, gain.space != plan::Space::absent, true,
                           plan.dtype_of(norm)};
  std::vector<plan::OperandT> outputs{plan.new_buffer(norm)};
  if (node.outputs.size() > 2) outputs.push_back(plan.new_buffer(node.outputs[2]));
  const std::vector<plan::OperandT> inputs{plan.at(x), plan.at(node.inputs[1]), gain};
  outputs.push_back(plan.in_place_or_new(sum, x));
  plan.add_step(node.name, to_text(problem), plan.axis_of(x), inputs, std::move(outputs));
}

void columnwise(Lowering& plan, const Node& node, ElementwiseOp op, Activation activation = Activation::none,
                float factor = 1) {
  ValueId first = node.inputs[0];
  ValueId second = optional_input(node, 1);
  if (second != none && plan.graph().value(first).constant != nullptr) std::swap(first, second);
  Elementwise::Problem problem;
  problem.op = op;
  problem.activation = activation;
  problem.factor = factor;
  problem.width = narrow(plan.width_of(first));
  problem.first = plan.dtype_of(first);
  problem.output = plan.dtype_of(node.outputs[0]);
  problem.second = DType::f32;
  plan::OperandT other;
  if (second != none) {
    problem.row_vector = plan.graph().value(second).constant != nullptr;
    other = problem.row_vector ? plan.dense_weight(second, true) : plan.at(second);
    if (!problem.row_vector) problem.second = plan.dtype_of(second);
  }
  const plan::OperandT source = plan.at(first);
  const plan::OperandT output = plan.in_place_or_new(node.outputs[0], first);
  plan.add_step(node.name, to_text(problem), plan.axis_of(first), {source, other}, {output});
}

void convert(Lowering& plan, const Node& node, const ops::Convert&) { columnwise(plan, node, ElementwiseOp::copy); }
void add(Lowering& plan, const Node& node, const ops::Add&) { columnwise(plan, node, ElementwiseOp::add); }
void multiply(Lowering& plan, const Node& node, const ops::Multiply&) {
  columnwise(plan, node, ElementwiseOp::multiply);
}
void activate(Lowering& plan, const Node& node, const ops::Activate& op) {
  columnwise(plan, node, ElementwiseOp::activate, op.kind);
}
void scale(Lowering& plan, const Node& node, const ops::Scale& op) {
  columnwise(plan, node, ElementwiseOp::scale, Activation::none, op.factor);
}
void soft_cap(Lowering& plan, const Node& node, const ops::SoftCap& op) {
  columnwise(plan, node, ElementwiseOp::soft_cap, Activation::none, op.cap);
}

void xielu(Lowering& plan, const Node& node, const ops::Xielu&) { columnwise(plan, node, ElementwiseOp::xielu); }

void slice_columns(Lowering& plan, const Node& node, const ops::SliceColumns& op) {
  const Node* write = plan.kv_write_in(node.inputs[0]);
  if (write != nullptr && (node.outputs[0] == write->inputs[0] || node.outputs[0] == write->inputs[1])) return;
  plan::OperandT view = plan.at(node.inputs[0]);
  INCIPIT_ASSERT(view.space == plan::Space::buffer);
  view.column += unsigned32(op.first);
  view.width = unsigned32(op.count);
  plan.bind(node.outputs[0], view);
}

void gather_rows(Lowering& plan, const Node& node, const ops::GatherRows&) {
  const ValueId x = node.inputs[0];
  const ValueId out = node.outputs[0];
  if (plan.at(node.inputs[1]).space != plan::Space::rows)
    throw not_decoder(node.name + " gathers by something other than rows");
  if (plan.at(x).space == plan::Space::positions) {
    plan.bind(out, operand_of(plan::Space::row_positions, 0, 0, 1));
    return;
  }
  GatherRows::Problem problem{narrow(plan.width_of(x)), plan.dtype_of(x)};
  plan.add_step(node.name, to_text(problem), plan::Axis::rows, {plan.at(x), plan.at(node.inputs[1])},
                {plan.new_buffer(out)});
}

constexpr LowerRule rows_table[] = {
    lower_rule<ops::QuantizeRows, quantize_rows>(),
    lower_rule<ops::RmsNorm, rms_norm>(),
    lower_rule<ops::LayerNorm, layer_norm>(),
    lower_rule<ops::AddRmsNorm, add_rms_norm>(),
    lower_rule<ops::Convert, convert>(),
    lower_rule<ops::Add, add>(),
    lower_rule<ops::Multiply, multiply>(),
    lower_rule<ops::Activate, activate>(),
    lower_rule<ops::Scale, scale>(),
    lower_rule<ops::SoftCap, soft_cap>(),
    lower_rule<ops::Xielu, xielu>(),
    lower_rule<ops::SliceColumns, slice_columns>(),
    lower_rule<ops::GatherRows, gather_rows>(),
};

}  // namespace

std::span<const LowerRule> row_rules() { return rows_table; }

}  // namespace incipit
