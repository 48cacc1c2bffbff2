// What several passes need: matching and replacing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace incipit {

/// `replacement` takes over the uses, the place among the outputs and the name of `old`, whose producer (of one output)
/// goes.
void substitute(Graph& graph, ValueId old, ValueId replacement);
/// A node's name with its last part replaced: "layers.3.mlp.gate_proj" → "layers.3.mlp.gate_up_proj".
std::string sibling_name(std::string node, std::string_view name);
/// Removes the producer of a value when nothing uses any of its outputs.
void remove_if_unused(Graph& graph, ValueId value);

inline bool is_constant(const Graph& graph, ValueId id) { return id != none && graph.value(id).constant != nullptr; }
/// A row vector among the constants: a bias or gain.
bool is_constant_vector(const Graph& graph, ValueId id);

/// A weight that nothing else reads, so that a product's own factors may go into it.
inline bool has_own_weight(const Graph& graph, ValueId weight) {
  return is_constant(graph, weight) && graph.use_count(weight) == 1;
}

/// The input at `index` of a node, none where it is absent.
ValueId input_of(const Graph& graph, NodeId node, size_t index);

/// x·Wᵀ (+ bias) with constant weight and bias and nothing else in it.
struct Projection {
  ValueId result = none;   // the biased value
  ValueId product = none;  // what the Linear makes: `result`, or what the Add of the bias takes
  ValueId x = none, weight = none, bias = none;
};
std::optional<Projection> match_projection(const Graph& graph, ValueId value);

/// Makes one Linear of projections that share x, and replaces each result by a slice of columns, in the given order.
/// The weights must have no other use; they are concatenated lazily. The new Linear stands where the first one stood;
/// it is called like that, with the last part of its name replaced by `name`.
void merge_projections(Graph& graph, const std::vector<Projection>& parts, std::string_view name);
/// Whether merge_projections may: same x, distinct weights without other use.
bool can_merge(const Graph& graph, const std::vector<Projection>& parts);

}  // namespace incipit
