// Values of a graph over [batch, seq] as rows of one over an axis of tokens, while one is made of the other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "passes/rewrite.h"
#include "passes/token_axes.h"

namespace incipit {

/// A value of the graph as rows of the packed one.
struct PackedValue {
  ValueId value = none;     // [T, width], or [T] for ids and positions
  TokenAxes axes;           // what its axes are in the graph it comes from
  bool holds_past = false;  // keys or values of earlier tokens stand before these
};

/// Why an op is not row-wise.
struct Refusal {
  std::string fault;
};

/// What is known of both graphs. Members that need what is not there throw Refusal.
class TokenRows {
 protected:
  explicit TokenRows(const Graph& graph) : graph_(graph) {}

  /// Null where a value of the graph has no rows.
  const PackedValue* find(ValueId value) const;
  const PackedValue& tokens(ValueId value) const;
  /// … and of new tokens only.
  const PackedValue& rows_of(ValueId value) const;
  std::string called(ValueId value) const;
  static size_t axis_of(int64_t axis, const PackedValue& x);
  /// A weight: a constant, or one that the graph transposes or converts as it runs.
  ConstantPtr weight_of(ValueId value) const;
  /// The same as a product takes it, [outputs, inputs]: where it was transposed for the graph, what it was before.
  ConstantPtr weight_rows(ValueId value) const;
  /// Weights are found by content: a tied head reads the embedding's table.
  ValueId add_weight(const std::string& name, const ConstantPtr& constant);
  /// Elements along the last axis as a vector over all features of `x`.
  ConstantPtr vector_for(ValueId value, const PackedValue& x) const;
  /// Says which rows a value of the graph is.
  void put(ValueId output, ValueId value, TokenAxes axes, bool holds_past = false);
  /// Columns of a value; of a product, the product with those rows of its weight.
  ValueId columns(const std::string& name, ValueId value, const RowBlocks& blocks);

  const Graph& graph_;
  Graph packed_;
  std::map<ValueId, PackedValue> values_;  // by the value of graph_

 private:
  std::vector<ValueId> weights_;  // of packed_
};

}  // namespace incipit
