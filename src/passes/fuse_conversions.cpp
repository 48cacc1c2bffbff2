#include <algorithm>
#include <set>

#include "graph/graph.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/slice_columns.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// Makes the op O behind `value` write `dtype` instead of f32, if it is an O whose output number `output` that is.
template <typename O>
bool write_as(Graph& graph, ValueId value, DType dtype, int32_t output = 0) {
  const O* op = graph.producer_as<O>(value);
  if (op == nullptr || op->output != DType::f32 || graph.value(value).producer_output != output) return false;
  graph.change<O>(graph.value(value).producer, [&](O& changed) { changed.output = dtype; });
  return true;
}

bool write_rounded(Graph& graph, ValueId value, DType dtype) {
  return write_as<ops::RmsNorm>(graph, value, dtype) || write_as<ops::AddRmsNorm>(graph, value, dtype, 1) ||
         write_as<ops::LayerNorm>(graph, value, dtype) || write_as<ops::Linear>(graph, value, dtype) ||
         write_as<ops::QuantizedLinear>(graph, value, dtype) || write_as<ops::ExpertLinear>(graph, value, dtype) ||
         write_as<ops::QuantizedExpertLinear>(graph, value, dtype) || write_as<ops::Attention>(graph, value, dtype) ||
         write_as<ops::ApplyRotary>(graph, value, dtype);
}

/// Products whose results are rounded to bf16 by all that read them: keys and values on their way into a bf16 cache,
/// and its queries. Written as bf16 they take half the bytes there and back. A rotation in between adds to the keys'
/// rounding, which stays what a product in bf16 makes of them.
class CacheInputs {
 public:
  explicit CacheInputs(Graph& graph) : graph_(graph) {
    for (const NodeId n : graph_.order()) {
      if (is_wide_product(n) && all_round(graph_.node(n).outputs[0])) products_.insert(n);
    }
    // KvWrite takes keys and values of one dtype.
    for (bool settled = false; !settled;) {
      settled = true;
      for (const NodeId n : graph_.order()) {
        if (!graph_.op_as<ops::KvWrite>(n)) continue;
        const NodeId keys = product_of(input_of(graph_, n, 0)), values = product_of(input_of(graph_, n, 1));
        if (products_.contains(keys) == products_.contains(values)) continue;
        products_.erase(keys);
        products_.erase(values);
        settled = false;
      }
    }
  }

  void write_as_bf16() {
    for (const NodeId n : products_) {
      const ValueId result = graph_.node(n).outputs[0];
      if (!write_as<ops::Linear>(graph_, result, DType::bf16))
        write_as<ops::QuantizedLinear>(graph_, result, DType::bf16);
      pass_on(result);
    }
  }

 private:
  bool is_wide_product(NodeId n) const {
    const auto* linear = graph_.op_as<ops::Linear>(n);
    const auto* quantized = graph_.op_as<ops::QuantizedLinear>(n);
    return (linear && linear->output == DType::f32) || (quantized && quantized->output == DType::f32);
  }

  bool all_round(ValueId value) const {
    const auto uses = graph_.uses(value);
    return !uses.empty() && !graph_.is_output(value) &&
           std::all_of(uses.begin(), uses.end(), [&](const auto& use) { return rounds(use.first, use.second); });
  }

  bool rounds(NodeId user, size_t index) const {
    if (const auto* write = graph_.op_as<ops::KvWrite>(user)) return write->cache == DType::bf16 && index < 2;
    if (const auto* attention = graph_.op_as<ops::Attention>(user))
      return attention->cache == DType::bf16 && index == 0;
    if (const auto* rotary = graph_.op_as<ops::ApplyRotary>(user)) {
      return index == 0 && (rotary->output == DType::bf16 || all_round(graph_.node(user).outputs[0]));
    }
    return graph_.op_as<ops::SliceColumns>(user) && all_round(graph_.node(user).outputs[0]);
  }

  /// The product behind slices and rotations.
  NodeId product_of(ValueId value) const {
    while (graph_.producer_as<ops::SliceColumns>(value) || graph_.producer_as<ops::ApplyRotary>(value)) {
      value = input_of(graph_, graph_.value(value).producer, 0);
    }
    return graph_.value(value).producer;
  }

  void pass_on(ValueId value) {
    for (const auto& [user, index] : graph_.uses(value)) {
      const ValueId result = graph_.node(user).outputs[0];
      if (graph_.op_as<ops::SliceColumns>(user)) {
        graph_.change<ops::SliceColumns>(user, [](auto&) {});  // its result has its input's dtype
        pass_on(result);
      } else {
        write_as<ops::ApplyRotary>(graph_, result, DType::bf16);
      }
    }
  }

  Graph& graph_;
  std::set<NodeId> products_;
};

bool write_quantized(Graph& graph, ValueId value) {
  return write_as<ops::RmsNorm>(graph, value, DType::i8) || write_as<ops::AddRmsNorm>(graph, value, DType::i8, 1) ||
         write_as<ops::LayerNorm>(graph, value, DType::i8);
}

}  // namespace

void fuse_conversions(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const ValueId x = input_of(graph, n, 0);
    if (x == none || graph.use_count(x) != 1) continue;
    if (const auto* convert = graph.op_as<ops::Convert>(n)) {
      if (convert->to != DType::bf16 || !write_rounded(graph, x, convert->to)) continue;
      graph.replace_uses(graph.node(n).outputs[0], x);
      graph.remove_node(n);
    } else if (const auto* quantize = graph.op_as<ops::QuantizeRows>(n)) {
      if (quantize->groups != 1 || !write_quantized(graph, x)) {
        // Eight of the bits that codes keep seven of.
        write_rounded(graph, x, DType::bf16);
        continue;
      }
      const std::vector<ValueId> outputs = graph.node(n).outputs;
      const ValueId scales = graph.node(graph.value(x).producer).outputs.back();
      graph.replace_uses(outputs[0], x);
      graph.replace_uses(outputs[1], scales);
      graph.remove_node(n);
      graph.rename(scales, graph.value(x).name + ".scales");
    } else if (const auto* attention = graph.op_as<ops::Attention>(n); attention && attention->cache == DType::bf16) {
      // Scores of bf16 keys are no more exact than a bf16 query makes them, and half of it is read.
      write_as<ops::ApplyRotary>(graph, x, DType::bf16);
    }
  }
  CacheInputs(graph).write_as_bf16();
}

}  // namespace incipit
