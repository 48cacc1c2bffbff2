#include <algorithm>

#include "passes/passes.h"
#include "passes/primitive_match.h"

namespace incipit {
namespace {

struct Part {
  ValueId x = none;
  int64_t start = 0, end = 0, step = 1;  // of the last axis
};

// A slice of the last axis alone, at known places.
std::optional<Part> match_slice(const Graph& graph, ValueId value) {
  if (value == none || graph.producer_as<ops::Slice>(value) == nullptr) return std::nullopt;
  const std::vector<ValueId>& inputs = graph.node(graph.value(value).producer).inputs;
  const auto single = [&](size_t i) -> std::optional<int64_t> {
    const auto numbers = i < inputs.size() ? known_integers(graph, inputs[i]) : std::nullopt;
    return numbers && numbers->size() == 1 ? std::optional(numbers->front()) : std::nullopt;
  };
  const std::optional<int64_t> start = single(1), end = single(2), axis = single(3);
  const int64_t step = inputs.size() < 5 ? 1 : single(4).value_or(0);
  const Dim& extent = extent_of(graph, inputs[0], -1);
  if (!start || !end || !axis || step < 1 || !extent.is_constant() || !is_last_axis(*axis, rank_of(graph, value))) {
    return std::nullopt;
  }
  const primitives::SliceRange range = primitives::slice_range(extent.constant(), *start, *end, step);
  return Part{inputs[0], range.first, range.first + range.count * step, step};
}

// A part of the last axis, sliced or split off.
std::optional<Part> match_part(const Graph& graph, ValueId value) {
  if (const auto part = match_slice(graph, value)) return part;
  const auto* split = value == none ? nullptr : graph.producer_as<ops::Split>(value);
  if (split == nullptr || !is_last_axis(split->axis, rank_of(graph, value))) return std::nullopt;
  const Node& node = graph.node(graph.value(value).producer);
  Part part{node.inputs[0]};
  for (const ValueId output : node.outputs) {
    const Dim& width = extent_of(graph, output, -1);
    if (!width.is_constant()) return std::nullopt;
    part.end = part.start + width.constant();
    if (output == value) return part;
    part.start = part.end;
  }
  return std::nullopt;
}

// The two operands of a Concat along the last axis.
std::optional<std::pair<ValueId, ValueId>> match_pair(const Graph& graph, ValueId value) {
  const auto* join = value == none ? nullptr : graph.producer_as<ops::Concat>(value);
  if (join == nullptr || !is_last_axis(join->axis, rank_of(graph, value))) return std::nullopt;
  const std::vector<ValueId>& parts = graph.node(graph.value(value).producer).inputs;
  return parts.size() == 2 ? std::optional(std::pair(parts[0], parts[1])) : std::nullopt;
}

// x of [−x₂, x₁], its halves.
ValueId match_half_turn(const Graph& graph, ValueId value) {
  const auto parts = match_pair(graph, value);
  if (!parts) return none;
  const auto upper = match_part(graph, match_unary(graph, parts->first, ops::Unary::neg));
  const auto lower = match_part(graph, parts->second);
  if (!upper || !lower || upper->x != lower->x || upper->step != 1 || lower->step != 1) return none;
  const bool halves = lower->start == 0 && lower->end == upper->start && upper->end == 2 * upper->start &&
                      Dim(upper->end) == extent_of(graph, lower->x, -1);
  return halves ? lower->x : none;
}

// x of [−x₁, x₀, −x₃, x₂ …], written as the stack of −odd and even ones, made flat.
ValueId match_neighbour_turn(const Graph& graph, ValueId value) {
  if (graph.producer_as<ops::Reshape>(value) == nullptr && graph.producer_as<ops::Flatten>(value) == nullptr)
    return none;
  const ValueId stacked = graph.node(graph.value(value).producer).inputs[0];
  const size_t rank = rank_of(graph, value);
  const auto parts = match_pair(graph, stacked);
  if (!parts || rank_of(graph, stacked) != rank + 1 || extent_of(graph, stacked, -1) != Dim(2)) return none;
  // Each part has an axis of one at its end.
  const auto before_axis = [&](ValueId part) {
    const NodeId node = graph.value(part).producer;
    if (node == none || extent_of(graph, part, -1) != Dim(1)) return none;
    if (graph.op_as<ops::Reshape>(node) == nullptr && graph.op_as<ops::Unsqueeze>(node) == nullptr) return none;
    const ValueId source = graph.node(node).inputs[0];
    return rank_of(graph, source) == rank ? source : none;
  };
  const ValueId negative = before_axis(parts->first);
  const auto odd = match_slice(graph, negative == none ? none : match_unary(graph, negative, ops::Unary::neg));
  const auto even = match_slice(graph, before_axis(parts->second));
  if (!odd || !even || odd->x != even->x || odd->step != 2 || even->step != 2 || odd->start != 1 || even->start != 0) {
    return none;
  }
  return extent_of(graph, odd->x, -1) == extent_of(graph, value, -1) ? odd->x : none;
}

struct Turn {
  ValueId x = none;
  bool interleaved = false;
};
std::optional<Turn> match_turn(const Graph& graph, ValueId value) {
  if (const ValueId x = match_half_turn(graph, value); x != none) return Turn{x, false};
  if (const ValueId x = match_neighbour_turn(graph, value); x != none) return Turn{x, true};
  return std::nullopt;
}

struct Rotation {
  ValueId x = none, cosines = none, sines = none;
  bool interleaved = false;
};
// x·cos + turn(x)·sin.
std::optional<Rotation> match_rotation(const Graph& graph, ValueId value) {
  const auto terms = match_binary(graph, value, ops::Binary::add);
  if (!terms) return std::nullopt;
  for (const auto& [plain, turned] : {*terms, std::pair(terms->second, terms->first)}) {
    const auto straight = match_binary(graph, plain, ops::Binary::mul),
               across = match_binary(graph, turned, ops::Binary::mul);
    if (!straight || !across) return std::nullopt;
    for (const auto& [turn, sines] : {*across, std::pair(across->second, across->first)}) {
      const std::optional<Turn> found = match_turn(graph, turn);
      if (!found) continue;
      for (const auto& [x, cosines] : {*straight, std::pair(straight->second, straight->first)}) {
        if (x == found->x) return Rotation{x, cosines, sines, found->interleaved};
      }
    }
  }
  return std::nullopt;
}

// Whether the tables have a column for each element of heads of a known width, and x keeps its shape beside them.
bool turns_all_of(const Graph& graph, const Rotation& rotation, ValueId result) {
  const std::vector<Dim>& x = graph.value(rotation.x).type.shape;
  if (x.size() != 4 || !x[3].is_constant() || graph.value(result).type.shape != x) return false;
  const auto is_as_wide = [&](ValueId table) {
    return rank_of(graph, table) > 0 && extent_of(graph, table, -1) == x[3];
  };
  return is_as_wide(rotation.cosines) && is_as_wide(rotation.sines);
}

// A rotation of the first columns only, to which the others are joined again, is a partial rotation.
void widen_partial(Graph& graph, NodeId n) {
  if (graph.op_as<ops::Concat>(n) == nullptr) return;
  const ValueId result = graph.node(n).outputs.front();
  const auto parts = match_pair(graph, result);
  const auto* rotary = parts ? graph.producer_as<ops::RotaryEmbedding>(parts->first) : nullptr;
  if (rotary == nullptr || extent_of(graph, parts->first, -1) == extent_of(graph, result, -1)) return;
  const std::vector<ValueId> inputs = graph.node(graph.value(parts->first).producer).inputs;
  const auto first = match_part(graph, inputs[0]), rest = match_part(graph, parts->second);
  if (!first || !rest || first->x != rest->x || first->step != 1 || rest->step != 1 || first->start != 0 ||
      first->end != rest->start || Dim(rest->end) != extent_of(graph, first->x, -1)) {
    return;
  }
  replace(graph, result,
          graph.insert(n, "rotary", ops::RotaryEmbedding(rotary->primitive()), {first->x, inputs.at(1), inputs.at(2)}));
}

}  // namespace

void raise_rotary(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.op_as<ops::Binary>(n) == nullptr) continue;
    const ValueId result = graph.node(n).outputs.front();
    const std::optional<Rotation> rotation = match_rotation(graph, result);
    if (!rotation || !turns_all_of(graph, *rotation, result)) continue;
    primitives::RotaryEmbedding op;
    op.interleaved = rotation->interleaved;
    op.spelled_out = true;
    const std::vector<ValueId> operands{rotation->x, rotation->cosines, rotation->sines};
    replace(graph, result, graph.insert(n, "rotary", ops::RotaryEmbedding(op), operands));
  }
  graph.remove_unused();
  for (const NodeId n : std::vector<NodeId>(graph.order())) widen_partial(graph, n);
  graph.remove_unused();
}

}  // namespace incipit
