// What a value is for given extents: masks, positions and tables of cosines are written in many ways, but what they
// hold is always the same. A probe computes such a value with the scalar references, without touching ids or products.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "passes/decoder_inputs.h"

namespace incipit {

class Probe {
 public:
  /// One sequence of `past` earlier and `seq` new tokens, whose positions follow one another from 0 and of which none
  /// is padding.
  Probe(const Graph& graph, const DecoderInputs& inputs, int64_t past, int64_t seq);

  /// The value, or null where it depends on ids, on earlier keys and values, or on a tensor of more than
  /// `most_elements`.
  const Tensor* value(ValueId id);
  /// The elements at [range.first, range.first + range.count) of one axis, of a value that as a whole may be larger
  /// than that: what is made element by element is asked for those alone. Nothing where it cannot be computed.
  struct Range {
    int64_t first, count;
  };
  std::optional<Tensor> part(ValueId id, size_t axis, Range range);

  static constexpr int64_t most_elements = int64_t{1} << 25;
  /// New tokens up to which values are computed whose extents are not known before.
  static constexpr int64_t longest_unknown = 5'000;

 private:
  bool needs_inputs(ValueId id) const;
  std::optional<Tensor> compute(ValueId id) const;
  /// … at range_; kept in parts_.
  const Tensor* part(ValueId id, size_t axis, int depth);
  std::optional<Tensor> compute_part(ValueId id, size_t axis, int depth);
  std::optional<Tensor> part_of_elements(const Node& node, size_t axis, int depth);
  std::optional<Tensor> part_of_shape(const Node& node, size_t axis, int depth);
  const Tensor* operand_part(ValueId operand, size_t rank, size_t axis, int depth);
  std::optional<Tensor> input(ValueId id) const;
  std::optional<std::vector<int64_t>> numbers(const std::vector<Dim>& dims) const;

  const Graph& graph_;
  const DecoderInputs& inputs_;
  int64_t past_, seq_;
  std::map<std::string, int64_t> symbols_;
  std::map<ValueId, std::optional<Tensor>> known_;
  Range range_{0, 0};
  std::map<std::pair<ValueId, size_t>, std::optional<Tensor>> parts_;  // by value and axis
};

}  // namespace incipit
