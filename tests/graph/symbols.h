// Names of extents that tests of shapes share.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace incipit {

inline const Dim b = Dim::symbol("B"), s = Dim::symbol("S"), t = Dim::symbol("T"), past = Dim::symbol("past"),
                 unknown = Dim::unknown();

inline ValueType f32(std::vector<Dim> shape) { return {DType::f32, std::move(shape)}; }
inline ValueType i64(std::vector<Dim> shape) { return {DType::i64, std::move(shape)}; }

inline NodeId producer(const Graph& graph, std::string_view name) { return graph.value(graph.find(name)).producer; }

}  // namespace incipit
