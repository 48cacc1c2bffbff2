#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "graph/graph.h"
#include "graph/ops/apply_rotary.h"
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
#include "graph/ops/rms_norm.h"
#include "graph/ops/router.h"
#include "graph/ops/slice_columns.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "quant/format.h"

namespace incipit {
namespace {

/// Whether the name, or what stands behind one of its dots, is the pattern, in which * stands for anything.
bool is_name_like(std::string_view name, std::string_view pattern) {
  const auto matches = [](std::string_view text, std::string_view like) {
    size_t t = 0, l = 0, after_star = like.npos, retry = 0;
    while (t < text.size()) {
      if (l < like.size() && like[l] == '*') {
        after_star = ++l;
        retry = t;
      } else if (l < like.size() && like[l] == text[t]) {
        ++l, ++t;
      } else if (after_star != like.npos) {
        l = after_star;
        t = ++retry;
      } else {
        return false;
      }
    }
    return like.find_first_not_of('*', l) == like.npos;
  };
  for (size_t at = 0;; ++at) {
    if (matches(name.substr(at), pattern)) return true;
    at = name.find('.', at);
    if (at == name.npos) return false;
  }
}

class Quantizer {
 public:
  Quantizer(Graph& graph, const PassContext& context)
      : graph_(graph),
        main_(context.format),
        widen_four_bits_(context.widen_four_bits),
        calibration_(context.calibration),
        cache_(context.cache) {
    choose_formats(context.kept);
  }

  void run() {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId n : order) {
      if (is_product(n)) quantize_linear(n);
      if (is_experts(n)) quantize_experts(n);
    }
    set_caches(order);
    for (const ValueId id : graph_.constants()) settle_dtype(id);
  }

 private:
  void set_caches(const std::vector<NodeId>& order) {
    // Keys and values are read once a step and query: half the bytes cost less than the rounding.
    const DType codes = main_.format.codes;
    const DType cache = cache_.value_or(codes == DType::f32 || codes == DType::f16 ? codes : DType::bf16);
    bool found = false;
    for (const NodeId n : order) {
      if (graph_.op_as<ops::KvWrite>(n)) graph_.change<ops::KvWrite>(n, [&](auto& op) { op.cache = cache; });
      if (graph_.op_as<ops::Attention>(n)) graph_.change<ops::Attention>(n, [&](auto& op) { op.cache = cache; });
      found = found || graph_.op_as<ops::KvWrite>(n) != nullptr;
    }
    if (cache_ && !found)
      throw Error("--kv-cache", "the model is no decoder, and keeps no keys and values", "leave it out");
  }

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
  bool is_experts(NodeId n) const {
    return graph_.op_as<ops::ExpertLinear>(n) && is_constant(graph_, input_of(graph_, n, 2));
  }
  /// A product whose result is the graph's, by itself or behind one op after another of nothing else.
  bool is_head(NodeId n) const {
    for (ValueId result = graph_.node(n).outputs[0]; !graph_.is_output(result);) {
      if (graph_.use_count(result) != 1) return false;
      const Node& user = graph_.node(graph_.uses(result).front().first);
      if (user.inputs.size() != 1 || user.outputs.size() != 1) return false;
      result = user.outputs[0];
    }
    return is_product(n);
  }

  /// Queries, keys or values are made of its result, by slices, norms, rotations or nothing.
  bool feeds_attention(NodeId n) const {
    std::vector<ValueId> results{graph_.node(n).outputs[0]};
    while (!results.empty()) {
      const ValueId result = results.back();
      results.pop_back();
      for (const auto& [user, index] : graph_.uses(result)) {
        if (graph_.op_as<ops::Attention>(user) || graph_.op_as<ops::KvWrite>(user)) return true;
        if (graph_.op_as<ops::SliceColumns>(user) || graph_.op_as<ops::RmsNorm>(user) ||
            graph_.op_as<ops::ApplyRotary>(user)) {
          results.push_back(graph_.node(user).outputs[0]);
        }
      }
    }
    return false;
  }

  /// Each product's: the last one kept for its name, or else the main one.
  void choose_formats(std::span<const KeptFormat> kept) {
    std::vector<bool> found(kept.size());
    std::vector<std::string> names;
    for (const NodeId n : graph_.order()) {
      if (!is_product(n) && !is_experts(n)) continue;
      const bool higher = !main_.sensitive.empty() && (is_head(n) || feeds_attention(n));
      const NamedWeightFormat* format = higher ? &weight_format(main_.sensitive) : &main_;
      names.push_back(name_of_product(n));
      for (size_t i = 0; i < kept.size(); ++i) {
        if (!is_name_like(names.back(), kept[i].pattern) && !is_name_like(graph_.node(n).name, kept[i].pattern))
          continue;
        format = &weight_format(kept[i].precision);
        found[i] = true;
      }
      formats_[n] = format;
    }
    for (size_t i = 0; i < kept.size(); ++i) {
      if (!found[i]) throw no_product(kept[i], names);
    }
  }
  const NamedWeightFormat& format_of(NodeId product) const { return *formats_.at(product); }
  /// As its product multiplies it.
  WeightFormat multiplied(const NamedWeightFormat& named) const {
    return widen_four_bits_ && named.format.four_bits ? named.format.for_inputs(DType::bf16) : named.format;
  }
  DType activation_of(NodeId product) const { return multiplied(format_of(product)).activation; }

  /// Its weight's.
  std::string name_of_product(NodeId n) const {
    std::string name = graph_.value(input_of(graph_, n, graph_.op_as<ops::Linear>(n) ? 1 : 2)).name;
    if (constexpr std::string_view ending = ".weight"; name.ends_with(ending)) name.resize(name.size() - ending.size());
    return name;
  }

  static Error no_product(const KeptFormat& kept, const std::vector<std::string>& names) {
    std::string some;
    for (size_t i = 0; i < std::min<size_t>(names.size(), 4); ++i) some += (i == 0 ? "" : ", ") + names[i];
    return {"--keep '" + kept.pattern + "=" + kept.precision + "'", "no product has such a name",
            names.empty() ? "there are none" : "the first of " + std::to_string(names.size()) + " are " + some};
  }

  /// In place, so that a table which is also the head's weight stays one constant.
  void convert_product(NodeId n, ValueId weight) {
    const NamedWeightFormat& format = format_of(n);
    const ConstantPtr& constant = graph_.value(weight).constant;
    if (constant->dtype() != format.format.codes) graph_.set_constant(weight, codes_of(format, constant));
    const ValueId x = input_of(graph_, n, 0);
    graph_.set_input(n, 0, rows(x, n).codes);
    remove_if_unused(graph_, x);
  }

  static ConstantPtr codes_of(const NamedWeightFormat& format, const ConstantPtr& weight) {
    return reshape(format.quantize(as_matrix(weight)).codes, weight->shape());
  }

  /// [M, K], or [E, M, K] as [E·M, K].
  static ConstantPtr as_matrix(const ConstantPtr& weight) {
    const Shape& shape = weight->shape();
    return reshape(weight, {element_count(std::span(shape).first(shape.size() - 1)), shape.back()});
  }

  void quantize_linear(NodeId n) {
    const std::vector<ValueId> inputs = graph_.node(n).inputs;
    const ValueId weight = inputs[1];
    const NamedWeightFormat& named = format_of(n);
    if (!named.format.scales) {
      convert_product(n, weight);
      return;
    }
    const Rows x = rows(inputs[0], n);
    const Planes planes = weight_planes(named, weight, moments_of(named, n));
    const auto* linear = graph_.op_as<ops::Linear>(n);
    ops::QuantizedLinear op;
    op.format = to_text(multiplied(named));
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
    const NamedWeightFormat& named = format_of(n);
    if (!named.format.scales) {
      convert_product(n, weight);
      return;
    }
    const auto* experts = graph_.op_as<ops::ExpertLinear>(n);
    const bool shared = graph_.value(x).type.shape[1] == graph_.value(weight).type.shape[2];
    const Rows codes = rows(x, n, shared ? 1 : experts->top_k);
    const Planes planes = weight_planes(named, weight, nullptr);
    ops::QuantizedExpertLinear op;
    op.top_k = experts->top_k;
    op.format = to_text(multiplied(named));
    op.activation = experts->activation;
    op.output = experts->output;
    const ValueId quantized = graph_.insert(n, graph_.node(n).name, op,
                                            {codes.codes, codes.scales, inputs[1], planes.codes, planes.scales,
                                             planes.zero_points, input_of(graph_, n, 3)});
    substitute(graph_, graph_.node(n).outputs[0], quantized);
    remove_if_unused(graph_, x);
  }

  /// Of what a product reads; null: its codes are the nearest.
  ConstantPtr moments_of(const NamedWeightFormat& named, NodeId n) const {
    if (calibration_ == nullptr || !named.format.four_bits) return nullptr;
    const auto known = calibration_->moments.find(name_of_product(n));
    return known == calibration_->moments.end() ? nullptr : known->second;
  }

  QuantizedConstant planes_of(const NamedWeightFormat& named, const ConstantPtr& weight, const ConstantPtr& moments) {
    if (moments == nullptr) return named.quantize(as_matrix(weight));
    return quantize_compensated(named.format, as_matrix(weight), moments, calibration_->rounding);
  }

  Planes weight_planes(const NamedWeightFormat& named, ValueId weight, const ConstantPtr& moments) {
    Planes& planes = planes_[{weight, named.name}];
    if (planes.codes == none) {
      const Value& value = graph_.value(weight);
      const std::string name = value.name;
      const ConstantPtr constant = value.constant;
      const QuantizedConstant quantized = planes_of(named, constant, moments);
      planes.codes = graph_.add_constant(name + ".codes", reshape(quantized.codes, constant->shape()));
      planes.scales = add_block_plane(named.format, name + ".scales", quantized.scales, constant->shape());
      if (named.format.zero_points) {
        planes.zero_points =
            add_block_plane(named.format, name + ".zero_points", quantized.zero_points, constant->shape());
      }
    }
    return planes;
  }

  /// Scales or zero points of a weight, which may be experts'.
  ValueId add_block_plane(const WeightFormat& format, const std::string& name, const ConstantPtr& plane,
                          const Shape& weight) {
    Shape shape(weight.begin(), weight.end() - 2);
    shape.push_back(format.blocks_of_n(weight.end()[-2]));
    if (format.block_k > 0) shape.push_back(format.blocks_of_k(weight.back()));
    return graph_.add_constant(name, reshape(plane, std::move(shape)));
  }

  /// What `product` reads of x, made before it the first time; i8 rows have a scale for each group of columns.
  Rows rows(ValueId x, NodeId product, int64_t groups = 1) { return rows(x, product, activation_of(product), groups); }

  Rows rows(ValueId x, NodeId place, DType activation, int64_t groups) {
    if (graph_.value(x).type.dtype == activation) return {x, none};
    const auto key = std::tuple(x, activation, groups);
    if (const auto known = rows_.find(key); known != rows_.end()) return known->second;
    Rows made;
    const std::string name = graph_.value(x).name + '.';
    const std::string converted = name + std::string(name_of(activation));
    if (groups == 1 && gathers_what_products_read(x, activation)) {
      // Converting before gathering does the work once, where the producer may do it itself.
      const NodeId gather = graph_.value(x).producer;
      const ValueId indices = input_of(graph_, gather, 1);
      const Rows whole = rows(input_of(graph_, gather, 0), place, activation, 1);
      made.codes = graph_.insert(place, converted, ops::GatherRows{}, {whole.codes, indices});
      if (whole.scales != none) {
        made.scales = graph_.insert(place, name + "scales", ops::GatherRows{}, {whole.scales, indices});
      }
    } else if (activation == DType::i8) {
      ops::QuantizeRows op;
      op.groups = groups;
      const std::vector<ValueId> outputs = graph_.insert_node(place, converted, op.clone(), {x});
      made = {outputs[0], outputs[1]};
      graph_.rename(made.scales, name + "scales");
    } else {
      ops::Convert op;
      op.to = activation;
      made.codes = graph_.insert(place, converted, op, {x});
    }
    rows_[key] = made;
    return made;
  }

  /// x is gathered from rows that a product reads too, converted alike.
  bool gathers_what_products_read(ValueId x, DType activation) const {
    if (!graph_.producer_as<ops::GatherRows>(x)) return false;
    const ValueId source = input_of(graph_, graph_.value(x).producer, 0);
    if (rows_.contains({source, activation, 1})) return true;
    const auto uses = graph_.uses(source);
    return std::any_of(uses.begin(), uses.end(), [&](const auto& use) {
      return use.second == 0 && is_product(use.first) && activation_of(use.first) == activation;
    });
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
        if (!main_.format.scales && main_.format.codes != DType::f32) {
          graph_.set_constant(id, codes_of(main_, constant));
        }
        return;
      }
    }
    graph_.set_constant(id, convert(constant, DType::f32));
  }

  Graph& graph_;
  const NamedWeightFormat& main_;
  bool widen_four_bits_;
  const Calibration* calibration_;  // null: none
  std::optional<DType> cache_;
  std::map<NodeId, const NamedWeightFormat*> formats_;             // of products
  std::map<std::pair<ValueId, std::string_view>, Planes> planes_;  // by weight and format
  std::map<std::tuple<ValueId, DType, int64_t>, Rows> rows_;       // by activation, dtype and groups
};

}  // namespace

void quantize(Graph& graph, const PassContext& context) { Quantizer(graph, context).run(); }

}  // namespace incipit
