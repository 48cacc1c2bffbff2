#include <map>

#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/embedding.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_linear.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "quant/format.h"

namespace incipit {
namespace {

class Quantizer {
 public:
  Quantizer(Graph& graph, const WeightFormatInfo& format) : graph_(graph), format_(format) {}

  void run() {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId n : order) {
      if (graph_.op_as<ops::Linear>(n) && is_constant(graph_, input_of(graph_, n, 1))) quantize_linear(n);
    }
    if (format_.activation != DType::f32) {
      for (const NodeId n : order) {
        // Keys and values are read once a step and query: half the bytes cost less than the rounding.
        if (graph_.op_as<ops::KvWrite>(n)) graph_.change<ops::KvWrite>(n, [](auto& op) { op.cache = "bf16"; });
        if (graph_.op_as<ops::Attention>(n)) graph_.change<ops::Attention>(n, [](auto& op) { op.cache = "bf16"; });
      }
    }
    for (const ValueId id : graph_.constants()) settle_dtype(id);
  }

 private:
  /// What a product reads: an activation in the format's dtype, with scales where that is i8.
  struct Rows {
    ValueId codes = none, scales = none;
  };

  void quantize_linear(NodeId n) {
    const std::vector<ValueId> inputs = graph_.node(n).inputs;
    const ValueId weight = inputs[1];
    if (!format_.has_scales) {
      // In place, so that a table which is also the head's weight stays one constant.
      const ConstantPtr& constant = graph_.value(weight).constant;
      if (constant->dtype() != format_.codes) graph_.set_constant(weight, format_.quantize(constant).codes);
      graph_.set_input(n, 0, rows(inputs[0], n).codes);
      remove_if_unused(graph_, inputs[0]);
      return;
    }
    const Rows x = rows(inputs[0], n);
    const Rows planes = weight_planes(weight);
    const auto* linear = graph_.op_as<ops::Linear>(n);
    ops::QuantizedLinear op;
    op.format = format_.name;
    op.activation = linear->activation;
    op.output = linear->output;
    const ValueId quantized =
        graph_.insert(n, graph_.node(n).name, op,
                      {x.codes, x.scales, planes.codes, planes.scales, input_of(graph_, n, 2), input_of(graph_, n, 3)});
    substitute(graph_, graph_.node(n).outputs[0], quantized);
    remove_if_unused(graph_, inputs[0]);
  }

  Rows weight_planes(ValueId weight) {
    Rows& planes = planes_[weight];
    if (planes.codes == none) {
      const Value& value = graph_.value(weight);
      const std::string name = value.name;
      const QuantizedConstant quantized = format_.quantize(value.constant);
      planes.codes = graph_.add_constant(name + ".codes", quantized.codes);
      planes.scales = graph_.add_constant(name + ".scales", quantized.scales);
    }
    return planes;
  }

  /// The converted rows of x, made before `place` the first time.
  Rows rows(ValueId x, NodeId place) {
    if (graph_.value(x).type.dtype == format_.activation) return {x, none};
    if (const auto known = rows_.find(x); known != rows_.end()) return known->second;
    Rows made;
    const std::string name = graph_.value(x).name;
    if (gathers_what_products_read(x)) {
      // Converting before gathering does the work once, where the producer may do it itself.
      const NodeId gather = graph_.value(x).producer;
      const ValueId indices = input_of(graph_, gather, 1);
      const Rows whole = rows(input_of(graph_, gather, 0), place);
      made.codes = graph_.insert(place, name + "." + dtype_name(), ops::GatherRows{}, {whole.codes, indices});
      if (whole.scales != none) {
        made.scales = graph_.insert(place, name + ".scales", ops::GatherRows{}, {whole.scales, indices});
      }
    } else if (format_.activation == DType::i8) {
      const std::vector<ValueId> outputs =
          graph_.insert_node(place, name + "." + dtype_name(), std::make_unique<ops::QuantizeRows>(), {x});
      made = {outputs[0], outputs[1]};
      graph_.rename(made.scales, name + ".scales");
    } else {
      ops::Convert op;
      op.to = dtype_name();
      made.codes = graph_.insert(place, name + "." + dtype_name(), op, {x});
    }
    rows_[x] = made;
    return made;
  }

  std::string dtype_name() const { return std::string(name_of(format_.activation)); }

  /// x is gathered from rows that a product reads too.
  bool gathers_what_products_read(ValueId x) const {
    if (!graph_.producer_as<ops::GatherRows>(x)) return false;
    const ValueId source = input_of(graph_, graph_.value(x).producer, 0);
    if (rows_.contains(source)) return true;
    for (const auto& [user, index] : graph_.uses(source)) {
      if (graph_.op_as<ops::Linear>(user) && index == 0) return true;
    }
    return false;
  }

  /// Products' weights are settled. A table keeps its dtype where the kernel reads it (in bf16 it is rounded too), all
  /// else is read as f32.
  void settle_dtype(ValueId id) {
    const ConstantPtr constant = graph_.value(id).constant;
    const DType dtype = constant->dtype();
    if (dtype != DType::f32 && dtype != DType::bf16 && dtype != DType::f16) return;
    for (const auto& [user, index] : graph_.uses(id)) {
      if (graph_.op_as<ops::Linear>(user) && index == 1) return;
      if (graph_.op_as<ops::Embedding>(user)) {
        if (format_.codes == DType::bf16) {
          graph_.set_constant(id, convert(constant, DType::bf16));
          return;
        }
        if (dtype == DType::bf16) return;
      }
    }
    graph_.set_constant(id, convert(constant, DType::f32));
  }

  Graph& graph_;
  const WeightFormatInfo& format_;
  std::map<ValueId, Rows> planes_;  // by weight
  std::map<ValueId, Rows> rows_;    // by activation
};

}  // namespace

void quantize(Graph& graph, const PassContext& context) { Quantizer(graph, context.format).run(); }

}  // namespace incipit
