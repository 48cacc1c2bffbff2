// Matching among primitives: what raising passes have in common.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/activation.h"
#include "graph/graph.h"
#include "graph/ops/primitive.h"

namespace incipit {

/// The operands of Binary `function` where that makes `value`.
std::optional<std::pair<ValueId, ValueId>> match_binary(const Graph& graph, ValueId value,
                                                        ops::Binary::Function function);
/// The operand of Unary `function` where that makes `value`, else none.
ValueId match_unary(const Graph& graph, ValueId value, ops::Unary::Function function);
/// Before conversions among floating types: exporters compute norms and softmax in f32 whatever the model's type.
ValueId past_casts(const Graph& graph, ValueId value);
/// Before conversions to wider floating types, which change no number.
ValueId past_widening(const Graph& graph, ValueId value);
/// What decoders call an activation that a primitive computes.
std::optional<Activation> activation_of(const primitives::Unary& op);
/// The number that a constant of one element holds.
std::optional<double> number_of(const Graph& graph, ValueId value);
/// Of `function`'s two operands the one that is no number, and the number: in either order, or on the right where order
/// matters. A number of more axes than the other operand is none: it would give the result more.
struct WithNumber {
  ValueId value = none;
  double number = 0;
};
std::optional<WithNumber> match_with_number(const Graph& graph, ValueId value, ops::Binary::Function function);
/// A floating constant whose elements lie along the last axis only: [W], [1, 1, W].
bool is_last_axis_vector(const Graph& graph, ValueId value, const Dim& width);
/// The same as a constant [W].
ValueId as_vector(Graph& graph, ValueId constant);

size_t rank_of(const Graph& graph, ValueId value);
const Dim& extent_of(const Graph& graph, ValueId value, int64_t axis);  // from the end where negative
/// Whether an attribute `axis` of a tensor of that rank is its last one.
bool is_last_axis(int64_t axis, size_t rank);
/// The integers that a value is known to hold.
std::optional<std::vector<int64_t>> known_integers(const Graph& graph, ValueId value);
ValueId integer_list(Graph& graph, const std::vector<int64_t>& values);

/// Dropout whose mask nothing reads. Exporters leave it in, some of them even switched on: but an engine does not
/// train.
bool is_idle_dropout(const Graph& graph, NodeId n);

/// `value` with its axes in another order, inserted before `before`; transpositions that cancel leave nothing.
ValueId transposed(Graph& graph, NodeId before, ValueId value, std::vector<int64_t> order);
ValueId converted(Graph& graph, NodeId before, ValueId value, DType dtype);
/// `value` converted to the type of `model`, where it is of another.
ValueId converted_like(Graph& graph, NodeId before, ValueId value, ValueId model);

/// One value takes the place of another in all its uses, and its name if it was made after it; what nothing uses any
/// more goes later, with remove_unused.
void replace(Graph& graph, ValueId old, ValueId replacement);

}  // namespace incipit
