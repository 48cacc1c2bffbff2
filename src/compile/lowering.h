// What lowering a node needs: where each value is, the weights and buffers of the plan so far, and the steps that are
// added to it. The ops' rules are in lower/, one file a group.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "compile/lower.h"
#include "compile/plan_draft.h"
#include "graph/graph.h"
#include "kernels/families.h"

namespace incipit {

class Lowering;

/// How an op becomes steps.
struct LowerRule {
  std::string_view op;
  void (*lower)(Lowering&, const Node&);
};
template <typename O, void (*function)(Lowering&, const Node&, const O&)>
constexpr LowerRule lower_rule() {
  return {O::op_name, [](Lowering& plan, const Node& node) { function(plan, node, static_cast<const O&>(*node.op)); }};
}

// A group of ops each, in a file of lower/.
std::span<const LowerRule> attention_rules();
std::span<const LowerRule> product_rules();
std::span<const LowerRule> row_rules();

int32_t narrow(int64_t value);
Error not_decoder(const std::string& why);
/// How a product of `input` rows keeps its weight without codes: f32 rows meet f16 weights as they are, and all others
/// in f32.
WeightFormat format_for(DType input, DType weight);
/// An input of a node; none where it has fewer.
ValueId optional_input(const Node& node, size_t index);

class Lowering {
 public:
  Lowering(const Model& model, const LowerOptions& options);
  /// Of a plain graph: every value is a buffer of its own.
  explicit Lowering(const Graph& plain);

  PlanDraft run();
  RowSteps run_plain();

  const Graph& graph() const { return graph_; }
  const PageFormat& pages() const { return options_.pages; }
  /// Positions that the model may have.
  int64_t max_position() const { return max_position_; }

  // ---- values and where they are
  plan::Axis axis_of(ValueId value) const;
  int64_t width_of(ValueId value) const;
  DType dtype_of(ValueId value) const { return graph_.value(value).type.dtype; }
  const plan::OperandT& at(ValueId value) const;
  plan::OperandT optional_operand(const Node& node, size_t index) const;
  /// Where a value is that a later node may make: that one is lowered now.
  plan::OperandT early_operand(const Node& node, size_t index);
  /// Says where a value is.
  void bind(ValueId value, const plan::OperandT& operand) { where_[value] = operand; }
  plan::OperandT new_buffer(ValueId value) { return new_buffer(value, width_of(value)); }
  /// Of the value's first columns.
  plan::OperandT new_buffer(ValueId value, int64_t width);
  /// A buffer that is no value of the graph.
  plan::OperandT add_buffer(std::string name, DType dtype, plan::Axis axis, int64_t width);
  /// Puts `value` into the memory of `input` when nothing reads that memory after this node; else into a new buffer.
  plan::OperandT in_place_or_new(ValueId value, ValueId input);
  bool is_whole(const plan::OperandT& operand) const;
  /// An operand that is a whole, zero-padded buffer, as inputs of products must be: a column view is copied.
  plan::OperandT ensure_whole(ValueId value, const std::string& name);

  // ---- weights
  plan::OperandT dense_weight(ValueId value, bool as_float);
  /// A gain or bias as dense f32, where there is one.
  plan::OperandT gain_of(const Node& node, size_t index);
  /// A product's weight: its values or codes, and what the format has beside them.
  struct WeightValues {
    ValueId values = none, scales = none, zero_points = none, bias = none;
  };
  plan::OperandT packed_weight(const WeightValues& weight, const WeightFormat& format, const RowPairs& pairs = {});
  /// The value and format of a table that is also a product's weight (tied embeddings) and kept once, packed; or null.
  const std::pair<ValueId, WeightFormat>* packed_table(const Constant& table) const;

  // ---- caches
  /// The keys and values of a KvWrite.
  KvOutputs kv_outputs(const Node& write) const;
  /// Whether the product that makes them writes them: kernels can, on accelerators.
  bool writes_kv_in_product(const Node& write) const;
  /// The RmsNorm that makes a product's input and that all who read it may make themselves; null: there is none.
  const Node* norm_in_products(ValueId input) const;
  /// Whether the target has a kernel of this product that makes the norm.
  bool can_make_norm(const Linear::Problem& problem) const;
  /// The KvWrite that a product does; null: none.
  const Node* kv_write_in(ValueId product) const;
  /// Where it writes.
  plan::OperandT kv_operand(const Node& write);
  /// The layer's place in the cache group of its window and geometry.
  plan::OperandT cache_operand(int64_t layer, int64_t window, const KvGeometry& geometry);

  void add_step(std::string name, std::string problem, plan::Axis axis, std::vector<plan::OperandT> inputs,
                std::vector<plan::OperandT> outputs);

 private:
  struct PackedKey {
    const Constant* values;
    const Constant* bias;
    WeightFormat format;
    RowPairs pairs;
    auto operator<=>(const PackedKey&) const = default;
  };

  void bind_inputs();
  void find_packed_tables();
  void lower_node(NodeId id);
  void lower_early(ValueId value);
  bool used_later(const plan::OperandT& operand) const;
  bool range_used_later(ValueId value, int64_t first, int64_t count) const;

  const Graph& graph_;
  LowerOptions options_;
  int64_t max_position_ = 0;
  bool is_plain_ = false;
  PlanDraft draft_;
  Dim token_axis_, row_axis_;
  int64_t now_ = 0;
  std::map<NodeId, int64_t> step_of_node_;
  std::set<NodeId> lowered_;
  std::map<ValueId, plan::OperandT> where_;
  /// The values that each buffer holds, with their first column.
  std::map<uint32_t, std::vector<std::pair<ValueId, int64_t>>> roots_;
  std::map<std::pair<const Constant*, bool>, int32_t> dense_;
  std::map<PackedKey, int32_t> packed_;
  std::map<const Constant*, std::pair<ValueId, WeightFormat>> packed_tables_;
};

}  // namespace incipit
