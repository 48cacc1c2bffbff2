// Products with weights, embeddings and experts.
#include "compile/lowering.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/router.h"
#include "graph/ops/weighted_sum.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

/// A learned vector for each position that the model may have.
void require_positions(const Lowering& plan, const Node& node, int64_t rows) {
  const plan::Space space = plan.at(node.inputs[0]).space;
  if (space != plan::Space::positions && space != plan::Space::row_positions) {
    throw not_decoder(node.name + " looks up something other than ids or positions");
  }
  if (rows < plan.max_position()) {
    throw Error(node.name,
                "has " + std::to_string(rows) + " rows for " + std::to_string(plan.max_position()) + " positions",
                "mend the checkpoint's config.json");
  }
}

void embedding(Lowering& plan, const Node& node, const ops::Embedding& op) {
  const ConstantPtr& table = plan.graph().value(node.inputs[1]).constant;
  if (table == nullptr) throw not_decoder("the embedding table is not a constant");
  const ValueId out = node.outputs[0];
  const bool of_tokens = plan.at(node.inputs[0]).space == plan::Space::ids;
  if (!of_tokens) require_positions(plan, node, table->shape()[0]);
  if (const auto* tied = plan.packed_table(*table); of_tokens && tied != nullptr) {
    const auto [value, format] = *tied;
    PackedEmbedding::Problem problem{narrow(table->shape()[0]), narrow(table->shape()[1]), format, op.scale};
    plan.add_step(node.name, to_text(problem), plan.axis_of(out),
                  {plan.at(node.inputs[0]), plan.packed_weight({.values = value}, format)}, {plan.new_buffer(out)});
    return;
  }
  Embedding::Problem problem{narrow(table->shape()[0]), narrow(table->shape()[1]), table->dtype(), DType::f32,
                             op.scale};
  plan.add_step(node.name, to_text(problem), plan.axis_of(out),
                {plan.at(node.inputs[0]), plan.dense_weight(node.inputs[1], false)}, {plan.new_buffer(out)});
}

void product(Lowering& plan, const Node& node, const Linear::Problem& problem, std::vector<plan::OperandT> inputs,
             ValueId residual) {
  const ValueId out = node.outputs[0];
  const plan::OperandT rows = inputs.front(), added = residual == none ? plan::OperandT{} : plan.at(residual);
  inputs.push_back(added);
  const plan::OperandT unnormed =
      problem.norm.any ? plan.at(plan.norm_in_products(node.inputs[0])->inputs[0]) : plan::OperandT{};
  // Tiles read the input's rows when others have written their results.
  const auto is_added = [&](const plan::OperandT& read) {
    return read.space == plan::Space::buffer && read.space == added.space && read.index == added.index;
  };
  const bool is_input = is_added(rows) || is_added(unnormed);
  std::vector<plan::OperandT> outputs;
  if (const Node* write = plan.kv_write_in(out)) {
    inputs.push_back(plan.kv_operand(*write));
    inputs.push_back(plan.early_operand(*write, 3));
    if (problem.output_width() > 0) outputs.push_back(plan.new_buffer(out, problem.output_width()));
  } else {
    outputs.push_back(plan.in_place_or_new(out, is_input ? none : residual));
  }
  if (problem.norm.any) inputs.push_back(unnormed);
  plan.add_step(node.name, to_text(problem), plan.axis_of(out), std::move(inputs), std::move(outputs));
}

/// What the products with and without codes have in common: all but the weight's format.
Linear::Problem product_problem(const Lowering& plan, const Node& node, Activation activation, ValueId weight,
                                ValueId bias, ValueId residual) {
  Linear::Problem problem;
  problem.activation = activation;
  problem.n = narrow(plan.graph().value(weight).type.shape.at(0).constant());
  problem.k = narrow(plan.graph().value(weight).type.shape.at(1).constant());
  problem.input = plan.dtype_of(node.inputs[0]);
  problem.output = plan.dtype_of(node.outputs[0]);
  problem.bias = bias != none;
  problem.residual = residual != none;
  if (const Node* write = plan.kv_write_in(node.outputs[0])) problem.kv = plan.kv_outputs(*write);
  return problem;
}

void linear(Lowering& plan, const Node& node, const ops::Linear& op) {
  const ValueId weight = node.inputs[1], bias = optional_input(node, 2), residual = optional_input(node, 3);
  Linear::Problem problem = product_problem(plan, node, op.activation, weight, bias, residual);
  problem.format = format_for(problem.input, plan.dtype_of(weight));
  const Node* norm = plan.norm_in_products(node.inputs[0]);
  if (norm != nullptr && plan.is_whole(plan.at(norm->inputs[0]))) {
    problem.norm = {true, static_cast<const ops::RmsNorm&>(*norm->op).epsilon};
    if (!plan.can_make_norm(problem)) problem.norm = {};
  }
  product(plan, node, problem,
          {plan.ensure_whole(node.inputs[0], node.name),
           plan.packed_weight({.values = weight, .bias = bias}, problem.format, problem.weight().pairs)},
          residual);
}

void quantized_linear(Lowering& plan, const Node& node, const ops::QuantizedLinear& op) {
  const ValueId weight = node.inputs[2], bias = optional_input(node, 4), residual = optional_input(node, 5);
  Linear::Problem problem = product_problem(plan, node, op.activation, weight, bias, residual);
  problem.format = op.weight_format();
  std::vector<plan::OperandT> inputs{plan.ensure_whole(node.inputs[0], node.name)};
  if (node.inputs[1] != none) inputs.push_back(plan.at(node.inputs[1]));
  inputs.push_back(plan.packed_weight({weight, node.inputs[3], optional_input(node, 6), bias}, problem.format,
                                      problem.weight().pairs));
  product(plan, node, problem, std::move(inputs), residual);
}

/// What the experts' products with and without codes differ in.
struct ExpertInputs {
  ValueId scales, experts;  // scales of the rows' codes; none: they are numbers
  Lowering::WeightValues weight;
  WeightFormat format;
};

void experts_product(Lowering& plan, const Node& node, int64_t top_k, Activation activation,
                     const ExpertInputs& given) {
  const auto& [scales, experts, weight, format] = given;
  const ValueId x = node.inputs[0];
  const ValueId out = node.outputs[0];
  const auto& shape = plan.graph().value(weight.values).type.shape;
  ExpertLinear::Problem problem;
  problem.experts = narrow(shape.at(0).constant());
  problem.top_k = narrow(top_k);
  problem.n = narrow(shape.at(1).constant());
  problem.k = narrow(shape.at(2).constant());
  problem.input = plan.dtype_of(x);
  problem.format = format;
  problem.output = plan.dtype_of(out);
  problem.activation = activation;
  problem.bias = weight.bias != none;
  problem.shared = plan.width_of(x) == problem.k;
  problem.slot_scales = scales != none && !problem.shared && plan.width_of(scales) == top_k;
  std::vector<plan::OperandT> inputs{plan.at(x)};
  if (scales != none) inputs.push_back(plan.at(scales));
  inputs.push_back(plan.at(experts));
  inputs.push_back(plan.packed_weight(weight, problem.format, problem.weight().pairs));
  plan.add_step(node.name, to_text(problem), plan.axis_of(out), std::move(inputs), {plan.new_buffer(out)});
}

void expert_linear(Lowering& plan, const Node& node, const ops::ExpertLinear& op) {
  const WeightFormat format = format_for(plan.dtype_of(node.inputs[0]), plan.dtype_of(node.inputs[2]));
  experts_product(plan, node, op.top_k, op.activation,
                  {none, node.inputs[1], {.values = node.inputs[2], .bias = optional_input(node, 3)}, format});
}

void quantized_expert_linear(Lowering& plan, const Node& node, const ops::QuantizedExpertLinear& op) {
  experts_product(plan, node, op.top_k, op.activation,
                  {node.inputs[1],
                   node.inputs[2],
                   {node.inputs[3], node.inputs[4], optional_input(node, 5), optional_input(node, 6)},
                   op.weight_format()});
}

void router(Lowering& plan, const Node& node, const ops::Router& op) {
  const ValueId logits = node.inputs[0];
  const plan::OperandT correction = plan.gain_of(node, 1);
  const Router::Problem problem{op.routing(plan.width_of(logits)), correction.space != plan::Space::absent};
  plan.add_step(node.name, to_text(problem), plan.axis_of(logits), {plan.at(logits), correction},
                {plan.new_buffer(node.outputs[0]), plan.new_buffer(node.outputs[1])});
}

void weighted_sum(Lowering& plan, const Node& node, const ops::WeightedSum&) {
  const ValueId residual = optional_input(node, 2);
  const ValueId out = node.outputs[0];
  WeightedSum::Problem problem{narrow(plan.width_of(out)), narrow(plan.width_of(node.inputs[1])), residual != none};
  const std::vector<plan::OperandT> inputs{plan.at(node.inputs[0]), plan.at(node.inputs[1]),
                                           residual == none ? plan::OperandT{} : plan.at(residual)};
  plan.add_step(node.name, to_text(problem), plan.axis_of(out), inputs, {plan.in_place_or_new(out, residual)});
}

constexpr LowerRule products_table[] = {
    lower_rule<ops::Embedding, embedding>(),
    lower_rule<ops::Linear, linear>(),
    lower_rule<ops::QuantizedLinear, quantized_linear>(),
    lower_rule<ops::ExpertLinear, expert_linear>(),
    lower_rule<ops::QuantizedExpertLinear, quantized_expert_linear>(),
    lower_rule<ops::Router, router>(),
    lower_rule<ops::WeightedSum, weighted_sum>(),
};

}  // namespace

std::span<const LowerRule> product_rules() { return products_table; }

}  // namespace incipit
