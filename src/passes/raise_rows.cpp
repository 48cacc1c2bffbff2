// In a graph that is no decoder, what works on rows (the last axis, for each place on those before) becomes the ops
// that kernels compute: products with a weight, norms, sums, activations. What stands behind this pass then fuses them
// as it does a decoder's. Kernels keep activations in f32: halves are widened in front of these ops and narrowed behind
// them, and between two of them they stay wide.
#include <map>

#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rms_norm.h"
#include "passes/passes.h"
#include "passes/primitive_match.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

// Below that a product is no product of features, as that of positions with rotary frequencies: it stays f32.
constexpr int64_t fewest_features = 16;
// Of rows; what a file claims beyond that is not meant for kernels.
constexpr int64_t most_columns = int64_t{1} << 26;

bool is_width(const Dim& extent) {
  return extent.is_constant() && extent.constant() >= 1 && extent.constant() <= most_columns;
}

/// What a node has; the graph's own reference to it ends where nodes are added.
struct Source {
  std::string name;
  std::vector<ValueId> inputs, outputs;
};

class RowRaiser {
 public:
  explicit RowRaiser(Graph& graph) : graph_(graph) {}

  void run() {
    raise_all([this](NodeId n, const Source& node) { return raise(n, node); });
    // What only these read shows when all else has been raised.
    raise_all([this](NodeId n, const Source& node) { return gate(n, node); });
  }

 private:
  template <typename F>
  void raise_all(F&& raise_one) {
    for (const NodeId n : std::vector<NodeId>(graph_.order())) {
      const Source node{graph_.node(n).name, graph_.node(n).inputs, graph_.node(n).outputs};
      if (node.inputs.empty() || node.inputs[0] == none) continue;
      const ValueId old = node.outputs[0], raised = raise_one(n, node);
      if (raised != none) replace(graph_, old, narrowed(n, raised, graph_.value(old).type.dtype));
    }
    graph_.remove_unused();
  }

  ValueId raise(NodeId n, const Source& node) {
    if (graph_.op_as<ops::MatMul>(n) != nullptr) return product(n, node);
    if (const auto* op = graph_.op_as<ops::Binary>(n)) return op->function == op->add ? sum(n, node) : none;
    if (const auto* op = graph_.op_as<ops::Unary>(n)) return activation(n, node, *op);
    if (const auto* op = graph_.op_as<ops::LayerNormalization>(n)) return layer_norm(n, node, *op);
    if (const auto* op = graph_.op_as<ops::RmsNormalization>(n)) return rms_norm(n, node, *op);
    return none;
  }

  bool is_rows(ValueId value) const {
    const ValueType& type = graph_.value(value).type;
    return is_single_or_half(type.dtype) && type.shape.size() >= 2 && is_width(type.shape.back()) &&
           !is_constant(graph_, value);
  }
  static bool is_single_or_half(DType dtype) {
    return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  }

  /// Rows in f32.
  ValueId wide(NodeId before, ValueId rows) {
    if (graph_.value(rows).type.dtype == DType::f32) return rows;
    const auto [known, is_new] = wide_.try_emplace(rows, none);
    if (is_new) {
      known->second = graph_.insert(before, graph_.value(rows).name + ".wide", ops::Cast({DType::f32}), {rows});
    }
    return known->second;
  }
  ValueId narrowed(NodeId before, ValueId rows, DType dtype) {
    if (dtype == DType::f32) return rows;
    const std::string name = graph_.value(rows).name + ".narrow";
    const ValueId narrow = graph_.insert(before, name, ops::Cast({dtype}), {rows});
    wide_.emplace(narrow, rows);
    return narrow;
  }
  const Dim& width_of(ValueId rows) const { return graph_.value(rows).type.shape.back(); }
  bool is_unused(const Source& node, size_t output) const {
    return output >= node.outputs.size() || graph_.use_count(node.outputs[output]) == 0;
  }

  ValueId product(NodeId n, const Source& node) {
    const ValueId x = node.inputs[0], weight = weight_rows(node.inputs[1]);
    return weight == none || !is_rows(x) ? none : graph_.insert(n, node.name, ops::Linear{}, {wide(n, x), weight});
  }

  /// The weight [outputs, inputs] of a product with what is [inputs, outputs]; none where that is no weight.
  ValueId weight_rows(ValueId matrix) {
    if (rank_of(graph_, matrix) != 2 || !is_single_or_half(graph_.value(matrix).type.dtype)) return none;
    if (!extent_of(graph_, matrix, 0).is_at_least(fewest_features) || !is_width(extent_of(graph_, matrix, 1))) {
      return none;
    }
    const ConstantPtr rows = weight_constant(matrix);
    if (rows == nullptr) return none;
    const auto [known, is_new] = weights_.try_emplace(matrix, none);
    // A constant of its own: in other formats than f32 it will not be what a table for Gather is.
    if (is_new) known->second = graph_.add_constant(graph_.value(matrix).name + ".rows", rows);
    return known->second;
  }

  ConstantPtr weight_constant(ValueId matrix) const {
    if (is_constant(graph_, matrix)) return transpose(graph_.value(matrix).constant);
    const auto* turned = graph_.producer_as<ops::Transpose>(matrix);
    if (turned == nullptr || (!turned->perm.empty() && turned->perm != std::vector<int64_t>{1, 0})) return nullptr;
    return graph_.value(input_of(graph_, graph_.value(matrix).producer, 0)).constant;
  }

  ValueId sum(NodeId n, const Source& node) {
    ValueId x = node.inputs[0], y = node.inputs[1];
    if (is_constant(graph_, x)) std::swap(x, y);
    if (!is_rows(x)) return none;
    if (is_last_axis_vector(graph_, y, width_of(x))) {
      const bool keeps_shape = graph_.value(node.outputs[0]).type.shape == graph_.value(x).type.shape;
      return keeps_shape ? graph_.insert(n, node.name, ops::Add{}, {wide(n, x), as_vector(graph_, y)}) : none;
    }
    const bool same = is_rows(y) && graph_.value(x).type.shape == graph_.value(y).type.shape;
    return same ? graph_.insert(n, node.name, ops::Add{}, {wide(n, x), wide(n, y)}) : none;
  }

  ValueId activation(NodeId n, const Source& node, const ops::Unary& op) {
    const std::optional<Activation> kind = activation_of(op);
    if (!kind) return none;
    ops::Activate raised;
    raised.kind = *kind;
    return is_rows(node.inputs[0]) ? graph_.insert(n, node.name, raised, {wide(n, node.inputs[0])}) : none;
  }

  /// activation(gate)·up of an MLP, where nothing else reads either: gate and up then become one product.
  ValueId gate(NodeId n, const Source& node) {
    const auto* op = graph_.op_as<ops::Binary>(n);
    if (op == nullptr || op->function != op->mul) return none;
    for (const size_t side : {0U, 1U}) {
      const ValueId activated = node.inputs[side], up = node.inputs[1 - side];
      if (!is_rows(activated) || !is_rows(up) || graph_.value(activated).type != graph_.value(up).type) continue;
      const auto found = wide_.find(activated);
      const ValueId rows = found == wide_.end() ? activated : found->second;
      const auto* activate = graph_.producer_as<ops::Activate>(rows);
      if (activate == nullptr || !gate_of(activate->kind) || !is_read_once(activated) || !is_read_once(up)) continue;
      const ValueId gate = input_of(graph_, graph_.value(rows).producer, 0);
      if (!is_read_once(gate)) continue;
      return graph_.insert(n, node.name, ops::Multiply{}, {rows, wide(n, up)});
    }
    return none;
  }

  /// Halves are read as what they are in f32, too.
  bool is_read_once(ValueId value) const {
    const auto found = wide_.find(value);
    return graph_.use_count(value) == 1 && (found == wide_.end() || graph_.use_count(found->second) == 1);
  }

  /// The gain or bias at `index` as a vector, none where it is absent; nothing where it is something else.
  std::optional<ValueId> vector_at(NodeId n, size_t index, const Dim& width) {
    const ValueId value = input_of(graph_, n, index);
    if (value == none) return none;
    if (!is_last_axis_vector(graph_, value, width)) return std::nullopt;
    return as_vector(graph_, value);
  }

  ValueId layer_norm(NodeId n, const Source& node, const ops::LayerNormalization& op) {
    const ValueId x = node.inputs[0];
    if (!is_rows(x) || !is_last_axis(op.axis, rank_of(graph_, x))) return none;
    if (!is_unused(node, 1) || !is_unused(node, 2)) return none;
    ops::LayerNorm raised;
    raised.epsilon = op.epsilon;
    const auto gain = vector_at(n, 1, width_of(x)), bias = vector_at(n, 2, width_of(x));
    return gain && bias ? graph_.insert(n, node.name, raised, {wide(n, x), *gain, *bias}) : none;
  }

  ValueId rms_norm(NodeId n, const Source& node, const ops::RmsNormalization& op) {
    const ValueId x = node.inputs[0];
    if (!is_rows(x) || !is_last_axis(op.axis, rank_of(graph_, x))) return none;
    ops::RmsNorm raised;
    raised.epsilon = op.epsilon;
    const auto gain = vector_at(n, 1, width_of(x));
    return gain ? graph_.insert(n, node.name, raised, {wide(n, x), *gain}) : none;
  }

  Graph& graph_;
  std::map<ValueId, ValueId> weights_;  // by what they are turned from
  std::map<ValueId, ValueId> wide_;     // what halves are in f32
};

}  // namespace

void raise_rows(Graph& graph, const PassContext&) { RowRaiser(graph).run(); }

}  // namespace incipit
