#include "graph/graph.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// Makes the op O behind `value` write `dtype` instead of f32, if it is an O whose output number `output` that is.
template <typename O>
bool write_as(Graph& graph, ValueId value, std::string_view dtype, int32_t output = 0) {
  const O* op = graph.producer_as<O>(value);
  if (op == nullptr || op->output != "f32" || graph.value(value).producer_output != output) return false;
  graph.change<O>(graph.value(value).producer, [&](O& changed) { changed.output = dtype; });
  return true;
}

bool write_rounded(Graph& graph, ValueId value, std::string_view dtype) {
  return write_as<ops::RmsNorm>(graph, value, dtype) || write_as<ops::AddRmsNorm>(graph, value, dtype, 1) ||
         write_as<ops::LayerNorm>(graph, value, dtype) || write_as<ops::Linear>(graph, value, dtype) ||
         write_as<ops::QuantizedLinear>(graph, value, dtype) || write_as<ops::ExpertLinear>(graph, value, dtype) ||
         write_as<ops::QuantizedExpertLinear>(graph, value, dtype) || write_as<ops::Attention>(graph, value, dtype) ||
         write_as<ops::ApplyRotary>(graph, value, dtype);
}

bool write_quantized(Graph& graph, ValueId value) {
  return write_as<ops::RmsNorm>(graph, value, "i8") || write_as<ops::AddRmsNorm>(graph, value, "i8", 1) ||
         write_as<ops::LayerNorm>(graph, value, "i8");
}

}  // namespace

void fuse_conversions(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const ValueId x = input_of(graph, n, 0);
    if (x == none || graph.use_count(x) != 1) continue;
    if (const auto* convert = graph.op_as<ops::Convert>(n)) {
      if (convert->to != "bf16" || !write_rounded(graph, x, convert->to)) continue;
      graph.replace_uses(graph.node(n).outputs[0], x);
      graph.remove_node(n);
    } else if (const auto* quantize = graph.op_as<ops::QuantizeRows>(n)) {
      if (quantize->groups != 1 || !write_quantized(graph, x)) continue;
      const std::vector<ValueId> outputs = graph.node(n).outputs;
      const ValueId scales = graph.node(graph.value(x).producer).outputs.back();
      graph.replace_uses(outputs[0], x);
      graph.replace_uses(outputs[1], scales);
      graph.remove_node(n);
      graph.rename(scales, graph.value(x).name + ".scales");
    } else if (const auto* attention = graph.op_as<ops::Attention>(n); attention && attention->cache == "bf16") {
      // Scores of bf16 keys are no more exact than a bf16 query makes them, and half of it is read.
      write_as<ops::ApplyRotary>(graph, x, "bf16");
    }
  }
}

}  // namespace incipit
