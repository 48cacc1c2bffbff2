// The text form of graphs: what is printed can be read back.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "graph/graph.h"

namespace incipit {

/// The text form, one node a line; parse_graph reads it back.
///   graph (ids: i32[T], position: i32[T], rows: i32[R]) -> (logits)
///   const inverse_frequency : f32[2] = {1, 0.01}                 small constants by value
///   const lm_head.weight : bf16[8192, 384] = @9f3c…              large ones by digest,
///   const noise : f32[64, 64] = random(7, 0.02)                  or by what they are made from ("zeros" too)
///   logits : f32[R, 8192] = Linear(x, lm_head.weight) {activation = "silu"}  # model.lm_head
/// The graphs of an If, Loop or Scan follow its line, behind bars, each with its name before it:
///   y : f32[n] = If(c, x, x)
///   | then:
///   | graph (x: f32[?0]) -> (t)
///   | t : f32[?0] = Unary(x) {function = "neg"}
/// Absent inputs are `_`. Only attributes that differ from a new op's are printed; the node's name follows `#` where it
/// differs from its first output's. Names with other characters than letters, digits and _./:- are quoted as strings.
void print(const Graph& graph, std::ostream& out);
std::string to_text(const Graph& graph);
/// `resolve` gives the constant for an @digest (null: not known); without it such a constant reads as zeros.
using ConstantResolver = std::function<ConstantPtr(std::string_view digest, const ValueType& type)>;
/// Throws Error naming the line.
Graph parse_graph(std::string_view text, const ConstantResolver& resolve = {});

}  // namespace incipit
