#include <algorithm>
#include <map>

#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/router.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "quant/format.h"

namespace incipit {
namespace {

class Quantizer {
 public:
  Quantizer(Graph& graph, const NamedWeightFormat& named)
      : graph_(graph), format_(named.format), quantize_weight_(named.quantize) {}

  void run() {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId n : order) {
      if (is_product(n)) quantize_linear(n);
      if (graph_.op_as<ops::ExpertLinear>(n) && is_constant(graph_, input_of(graph_, n, 2))) quantize_experts(n);
    }
    if (format_.codes != DType::f32) {
      // Keys and values are read once a step and query: half the bytes cost less than the rounding.
      const DType cache = format_.codes == DType::f16 ? DType::f16 : DType::bf16;
      for (const NodeId n : order) {
        if (graph_.op_as<ops::KvWrite>(n)) graph_.change<ops::KvWrite>(n, [&](auto& op) { op.cache = cache; });
        if (graph_.op_as<ops::Attention>(n)) graph_.change<ops::Attention>(n, [&](auto& op) { op.cache = cache; });
      }
    }
    for (const ValueId id : graph_.constants()) settle_dtype(id);
  }

 private:
  /// What a product reads: an activation in the format's dtype, with scales where that is i8.
  struct Rows {
    ValueId codes = none, scales = none;
  };

  /// A weight's.
  struct Planes {
    ValueId codes = none, scales = none, zero_points = none;
  };

  /// A Linear of a weight that takes the format. A router's stays f32: the choice of experts jumps, so that a rounding
  /// there would not stay a small error.
  bool is_product(NodeId n) const {
    if (!graph_.op_as<ops::Linear>(n) || !is_constant(graph_, input_of(graph_, n, 1))) return false;
    const auto uses = graph_.uses(graph_.node(n).outputs[0]);
    return std::none_of(uses.begin(), uses.end(),
                        [&](const auto& use) { return graph_.op_as<ops::Router>(use.first); });
  }

  /// In place, so that a table which is also the head's weight stays one constant.
  void convert_product(NodeId n, ValueId weight) {
    const ConstantPtr& constant = graph_.value(weight).constant;
    if (constant->dtype() != format_.codes) graph_.set_constant(weight, codes_of(constant));
    const ValueId x = input_of(graph_, n, 0);
    graph_.set_input(n, 0, rows(x, n).codes);
    remove_if_unused(graph_, x);
  }

  ConstantPtr codes_of(const ConstantPtr& weight) const {
    return reshape(quantize_weight_(as_matrix(weight)).codes, weight->shape());
  }

  /// [M, K], or [E, M, K] as [E·M, K].
  static ConstantPtr as_matrix(const ConstantPtr& weight) {
    const Shape& shape = weight->shape();
    return reshape(weight, {element_count(std::span(shape).first(shape.size() - 1)), shape.back()});
  }

  void quantize_linear(NodeId n) {
    const std::vector<ValueId> inputs = graph_.node(n).inputs;
    const ValueId weight = inputs[1];
    if (!format_.scales) {
      convert_product(n, weight);
      return;
    }
    const Rows x = rows(inputs[0], n);
    const Planes planes = weight_planes(weight);
    const auto* linear = graph_.op_as<ops::Linear>(n);
    ops::QuantizedLinear op;
    op.format = to_text(format_);
    op.activation = linear->activation;
    op.output = linear->output;
    const ValueId quantized = graph_.insert(n, graph_.node(n).name, op,
                                            {x.codes, x.scales, planes.codes, planes.scales, input_of(graph_, n, 2),
                                             input_of(graph_, n, 3), planes.zero_points});
    substitute(graph_, graph_.node(n).outputs[0], quantized);
    remove_if_unused(graph_, inputs[0]);
  }

  void quantize_experts(NodeId n) {
    const std::vector<ValueId> inputs = graph_.node(n).inputs;
    const ValueId x = inputs[0], weight = inputs[2];
    if (!format_.scales) {
      convert_product(n, weight);
      return;
    }
    const auto* experts = graph_.op_as<ops::ExpertLinear>(n);
    const bool shared = graph_.value(x).type.shape[1] == graph_.value(weight).type.shape[2];
    const Rows codes = rows(x, n, shared ? 1 : experts->top_k);
    const Planes planes = weight_planes(weight);
    ops::QuantizedExpertLinear op;
    op.top_k = experts->top_k;
    op.format = to_text(format_);
    op.activation = experts->activation;
    op.output = experts->output;
    const ValueId quantized = graph_.insert(n, graph_.node(n).name, op,
                                            {codes.codes, codes.scales, inputs[1], planes.codes, planes.scales,
                                             planes.zero_points, input_of(graph_, n, 3)});
    substitute(graph_, graph_.node(n).outputs[0], quantized);
    remove_if_unused(graph_, x);
  }

  Planes weight_planes(ValueId weight) {
    Planes& planes = planes_[weight];
    if (planes.codes == none) {
      const Value& value = graph_.value(weight);
      const std::string name = value.name;
      const ConstantPtr constant = value.constant;
      const QuantizedConstant quantized = quantize_weight_(as_matrix(constant));
      planes.codes = graph_.add_constant(name + ".codes", reshape(quantized.codes, constant->shape()));
      planes.scales = add_block_plane(name + ".scales", quantized.scales, constant->shape());
      if (format_.zero_points) {
        planes.zero_points = add_block_plane(name + ".zero_points", quantized.zero_points, constant->shape());
      }
    }
    return planes;
  }

  /// Scales or zero points of a weight, which may be experts'.
  ValueId add_block_plane(const std::string& name, const ConstantPtr& plane, const Shape& weight) {
    Shape shape(weight.begin(), weight.end() - 2);
    shape.push_back(format_.blocks_of_n(weight.end()[-2]));
    if (format_.block_k > 0) shape.push_back(format_.blocks_of_k(weight.back()));
    return graph_.add_constant(name, reshape(plane, std::move(shape)));
  }

  /// The converted rows of x, made before `place` the first time; i8 rows have a scale for each group of columns.
  Rows rows(ValueId x, NodeId place, int64_t groups = 1) {
    if (graph_.value(x).type.dtype == format_.activation) return {x, none};
    const auto key = std::pair(x, groups);
    if (const auto known = rows_.find(key); known != rows_.end()) return known->second;
    Rows made;
    const std::string name = graph_.value(x).name;
    if (groups == 1 && gathers_what_products_read(x)) {
      // Converting before gathering does the work once, where the producer may do it itself.
      const NodeId gather = graph_.value(x).producer;
      const ValueId indices = input_of(graph_, gather, 1);
      const Rows whole = rows(input_of(graph_, gather, 0), place);
      made.codes = graph_.insert(place, name + "." + dtype_name(), ops::GatherRows{}, {whole.codes, indices});
      if (whole.scales != none) {
        made.scales = graph_.insert(place, name + ".scales", ops::GatherRows{}, {whole.scales, indices});
      }
    } else if (format_.activation == DType::i8) {
      ops::QuantizeRows op;
      op.groups = groups;
      const std::vector<ValueId> outputs = graph_.insert_node(place, name + "." + dtype_name(), op.clone(), {x});
      made = {outputs[0], outputs[1]};
      graph_.rename(made.scales, name + ".scales");
    } else {
      ops::Convert op;
      op.to = format_.activation;
      made.codes = graph_.insert(place, name + "." + dtype_name(), op, {x});
    }
    rows_[key] = made;
    return made;
  }

  std::string dtype_name() const { return std::string(name_of(format_.activation)); }

  /// x is gathered from rows that a product reads too.
  bool gathers_what_products_read(ValueId x) const {
    if (!graph_.producer_as<ops::GatherRows>(x)) return false;
    const ValueId source = input_of(graph_, graph_.value(x).producer, 0);
    if (rows_.contains({source, 1})) return true;
    const auto uses = graph_.uses(source);
    return std::any_of(uses.begin(), uses.end(),
                       [&](const auto& use) { return use.second == 0 && is_product(use.first); });
  }

  /// Products' weights are settled, and primitives want what they have. A table keeps its dtype (in bf16 and fp16 it is
  /// rounded too), all else is read as f32.
  void settle_dtype(ValueId id) {
    const ConstantPtr constant = graph_.value(id).constant;
    const DType dtype = constant->dtype();
    if (dtype != DType::f32 && dtype != DType::bf16 && dtype != DType::f16) return;
    for (const auto& [user, index] : graph_.uses(id)) {
      if (is_product(user) && index == 1) return;
      if (graph_.op_as<ops::ExpertLinear>(user) && index == 2) return;
      if (graph_.op_as<ops::QuantizedLinear>(user) && index == 3) return;
      if (graph_.op_as<ops::QuantizedExpertLinear>(user) && index == 4) return;
      if (graph_.node(user).op->shapes_follow_values()) return;
      if (graph_.op_as<ops::Embedding>(user)) {
        if (format_.codes == DType::bf16 || format_.codes == DType::f16) graph_.set_constant(id, codes_of(constant));
        return;
      }
    }
    graph_.set_constant(id, convert(constant, DType::f32));
  }

  Graph& graph_;
  const WeightFormat format_;
  QuantizedConstant (*quantize_weight_)(ConstantPtr);
  std::map<ValueId, Planes> planes_;                  // by weight
  std::map<std::pair<ValueId, int64_t>, Rows> rows_;  // by activation and groups
};

}  // namespace

void quantize(Graph& graph, const PassContext& context) { Quantizer(graph, context.format).run(); }

}  // namespace incipit
