#include <algorithm>

#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/scale.h"
#include "graph/ops/weighted_sum.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// Multiplies input `index` of a node, a constant, for this node alone.
void scale_vector(Graph& graph, NodeId node, size_t index, float factor) {
  const ValueId vector = input_of(graph, node, index);
  const ConstantPtr scaled = scale_all(graph.value(vector).constant, factor);
  if (graph.use_count(vector) == 1) {
    graph.set_constant(vector, scaled);
  } else {
    graph.set_input(node, static_cast<int32_t>(index), graph.add_constant(graph.value(vector).name, scaled));
  }
}

bool multiply_norm(Graph& graph, NodeId node, float factor) {
  constexpr size_t gain = 1, bias = 2;
  if (graph.node(node).outputs.size() != 1 || !is_constant(graph, input_of(graph, node, gain))) return false;
  const bool has_bias = input_of(graph, node, bias) != none;
  if (has_bias && !is_constant(graph, input_of(graph, node, bias))) return false;
  scale_vector(graph, node, gain, factor);
  if (has_bias) scale_vector(graph, node, bias, factor);
  return true;
}

/// Makes the value `factor` times what it was, without a node for it: by a constant or attribute of what makes it. The
/// value must have a single use, for which that happens.
bool multiply_source(Graph& graph, ValueId value, float factor) {
  if (graph.use_count(value) != 1 || graph.value(value).producer == none) return false;
  const NodeId node = graph.value(value).producer;
  if (graph.op_as<ops::Embedding>(node)) {
    graph.change<ops::Embedding>(node, [&](auto& op) { op.scale *= factor; });
    return true;
  }
  if (graph.op_as<ops::Scale>(node)) {
    graph.change<ops::Scale>(node, [&](auto& op) { op.factor *= factor; });
    return true;
  }
  if (graph.op_as<ops::RmsNorm>(node) || graph.op_as<ops::LayerNorm>(node)) return multiply_norm(graph, node, factor);
  if (graph.op_as<ops::GatherRows>(node)) return multiply_source(graph, input_of(graph, node, 0), factor);
  if (graph.op_as<ops::WeightedSum>(node)) {
    return input_of(graph, node, 2) == none && multiply_source(graph, input_of(graph, node, 0), factor);
  }
  if (const auto* experts = graph.op_as<ops::ExpertLinear>(node)) {
    const ValueId weight = input_of(graph, node, 2);
    if (experts->activation != Activation::none || experts->output != DType::f32 || !has_own_weight(graph, weight))
      return false;
    constexpr size_t bias = 3;
    if (input_of(graph, node, bias) != none) {
      if (!is_constant(graph, input_of(graph, node, bias))) return false;
      scale_vector(graph, node, bias, factor);
    }
    graph.set_constant(weight, scale_all(graph.value(weight).constant, factor));
    return true;
  }
  const std::optional<Projection> projection = match_projection(graph, value);
  if (!projection) return false;
  if (has_own_weight(graph, projection->weight)) {
    graph.set_constant(projection->weight, scale_all(graph.value(projection->weight).constant, factor));
    if (projection->bias != none) {
      const bool apart = projection->product != value;  // the bias is of an Add behind the product
      scale_vector(graph, node, apart ? 1 : 2, factor);
    }
    return true;
  }
  // A tied head: its input is scaled instead.
  return projection->bias == none && multiply_source(graph, projection->x, factor);
}

/// … by the weights of the products that read it, where nothing else does.
bool multiply_products(Graph& graph, ValueId scaled, float factor) {
  const auto uses = graph.uses(scaled);
  const auto weight_of = [&](const std::pair<NodeId, int32_t>& use) -> ValueId {
    const auto [user, index] = use;
    if (index != 0) return none;
    if (graph.op_as<ops::Linear>(user)) return input_of(graph, user, 1);
    return graph.op_as<ops::ExpertLinear>(user) ? input_of(graph, user, 2) : none;
  };
  if (uses.empty() || graph.is_output(scaled)) return false;
  if (!std::all_of(uses.begin(), uses.end(), [&](const auto& use) { return has_own_weight(graph, weight_of(use)); })) {
    return false;
  }
  for (const auto& use : uses) {
    const ValueId weight = weight_of(use);
    graph.set_constant(weight, scale_all(graph.value(weight).constant, factor));
  }
  return true;
}

/// The attention whose query this is, with or without rotary between, where it is nothing else.
NodeId attention_behind(const Graph& graph, ValueId value) {
  while (graph.use_count(value) == 1 && !graph.is_output(value)) {
    const auto [user, index] = graph.uses(value).front();
    if (index != 0) return none;
    if (graph.op_as<ops::Attention>(user)) return user;
    if (!graph.op_as<ops::Rotary>(user)) return none;
    value = graph.node(user).outputs[0];
  }
  return none;
}

bool fold(Graph& graph, NodeId node) {
  const float factor = graph.op_as<ops::Scale>(node)->factor;
  const ValueId x = input_of(graph, node, 0), scaled = graph.node(node).outputs[0];
  if (graph.value(x).type != graph.value(scaled).type) return false;
  if (const NodeId attention = attention_behind(graph, scaled); attention != none) {
    graph.change<ops::Attention>(attention, [&](auto& op) { op.scale *= factor; });
    return true;
  }
  if (factor == 1) return graph.value(x).producer != none;
  return multiply_source(graph, x, factor) || multiply_products(graph, scaled, factor);
}

}  // namespace

void fold_scale(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (!graph.op_as<ops::Scale>(n) || !fold(graph, n)) continue;
    const ValueId x = input_of(graph, n, 0), scaled = graph.node(n).outputs[0];
    if (graph.is_output(scaled)) {
      substitute(graph, scaled, x);
    } else {
      graph.replace_uses(scaled, x);
      graph.remove_node(n);
    }
  }
}

}  // namespace incipit
