// Attention, the writing of its cache, and rotation.
#include "graph/ops/attention.h"
#include "compile/lowering.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

/// `O` is Rotary or RotaryTable.
template <typename O>
void add_table_step(Lowering& plan, const std::string& name, plan::Axis axis, ValueId position, ValueId frequencies,
                    const O& op, plan::OperandT output) {
  const plan::OperandT positions = plan.at(position);
  if (positions.space != plan::Space::positions && positions.space != plan::Space::row_positions) {
    throw not_decoder(name + " rotates by something other than positions");
  }
  RotaryTable::Problem problem{narrow(plan.graph().value(frequencies).type.shape.at(0).constant()), op.factor,
                               op.growth, narrow(op.growth_length)};
  plan.add_step(name, to_text(problem), axis, {positions, plan.dense_weight(frequencies, true)}, {output});
}

void rotary_table(Lowering& plan, const Node& node, const ops::RotaryTable& op) {
  add_table_step(plan, node.name, plan.axis_of(node.outputs[0]), node.inputs[0], node.inputs[1], op,
                 plan.new_buffer(node.outputs[0]));
}

void rotate(Lowering& plan, const Node& node, const plan::OperandT& table, int64_t heads, int64_t head_dim,
            bool interleaved) {
  const ValueId x = node.inputs[0];
  Rotary::Problem problem{narrow(heads), narrow(head_dim), narrow(table.width / 2),
                          interleaved,   plan.dtype_of(x), plan.dtype_of(node.outputs[0])};
  const plan::OperandT source = plan.at(x);
  const plan::OperandT output = plan.in_place_or_new(node.outputs[0], x);
  plan.add_step(node.name, to_text(problem), plan.axis_of(x), {source, table}, {output});
}

void apply_rotary(Lowering& plan, const Node& node, const ops::ApplyRotary& op) {
  rotate(plan, node, plan.at(node.inputs[1]), op.heads, op.head_dim, op.interleaved);
}

/// Without the pass share_rotary each rotation has a table of its own.
void rotary(Lowering& plan, const Node& node, const ops::Rotary& op) {
  const ValueId x = node.inputs[0];
  const int64_t pairs = plan.graph().value(node.inputs[2]).type.shape.at(0).constant();
  const plan::OperandT table = plan.add_buffer(node.name + ".table", DType::f32, plan.axis_of(x), 2 * pairs);
  add_table_step(plan, node.name + ".table", plan.axis_of(x), node.inputs[1], node.inputs[2], op, table);
  rotate(plan, node, table, op.heads, op.head_dim, op.interleaved);
}

void kv_write(Lowering& plan, const Node& node, const ops::KvWrite&) {
  if (plan.at(node.inputs[2]).space != plan::Space::positions)
    throw not_decoder(node.name + " does not write at the tokens' positions");
  const plan::OperandT cache = plan.kv_operand(node);
  plan.bind(node.outputs[0], cache);
  if (plan.writes_kv_in_product(node)) return;
  const KvOutputs kv = plan.kv_outputs(node);
  const KvWrite::Problem problem{kv.kv_heads, kv.head_dim,     kv.page_tokens, plan.dtype_of(node.inputs[0]),
                                 kv.cache,    kv.rotary_pairs, kv.interleaved, kv.pages};
  if (plan.dtype_of(node.inputs[1]) != problem.input)
    throw not_decoder(node.name + " has keys and values of different types");
  plan.add_step(node.name, to_text(problem), plan::Axis::tokens,
                {plan.at(node.inputs[0]), plan.at(node.inputs[1]), cache, plan.optional_operand(node, 3)}, {});
}

void attention(Lowering& plan, const Node& node, const ops::Attention& op) {
  const ValueId q = node.inputs[0];
  const bool over_rows = plan.axis_of(q) == plan::Axis::rows;
  const plan::Space expected = over_rows ? plan::Space::row_positions : plan::Space::positions;
  if (plan.at(node.inputs[1]).space != expected)
    throw not_decoder(node.name + " attends from positions that are not its tokens'");
  Attention::Problem problem;
  problem.heads = narrow(op.heads);
  problem.kv_heads = narrow(op.kv_heads);
  problem.head_dim = narrow(op.head_dim);
  problem.page_tokens = plan.pages().tokens;
  problem.pages = plan.pages().layout;
  problem.window = narrow(op.window);
  problem.scale = op.scale;
  problem.soft_cap = op.soft_cap;
  problem.over_rows = over_rows;
  problem.query = plan.dtype_of(q);
  problem.cache = op.cache;
  problem.output = plan.dtype_of(node.outputs[0]);
  const plan::OperandT table = plan.optional_operand(node, 3);
  problem.rotary_pairs = narrow(table.width / 2);
  problem.interleaved = op.interleaved;
  const plan::OperandT slopes = plan.gain_of(node, 4), sinks = plan.gain_of(node, 5);
  problem.slopes = slopes.space != plan::Space::absent;
  problem.sinks = sinks.space != plan::Space::absent;
  plan.add_step(node.name, to_text(problem), plan.axis_of(q),
                {plan.at(q), plan.at(node.inputs[2]), table, slopes, sinks}, {plan.new_buffer(node.outputs[0])});
}

constexpr LowerRule attention_table[] = {
    lower_rule<ops::RotaryTable, rotary_table>(),
    lower_rule<ops::ApplyRotary, apply_rotary>(),
    lower_rule<ops::Rotary, rotary>(),
    lower_rule<ops::KvWrite, kv_write>(),
    lower_rule<ops::Attention, attention>(),
};

}  // namespace

std::span<const LowerRule> attention_rules() { return attention_table; }

}  // namespace incipit
