// The order of an ONNX graph's nodes, and what they use.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "import/onnx/model.h"

namespace incipit::onnx {

/// "node 'name' (Gemm)"; names are cut where they are very long.
std::string text_of(const Node& node);
/// A name of the file's, cut where it is very long, without control characters.
std::string shown(std::string_view name);

/// Values of the graph around them that the graphs in a node's attributes use, each once.
std::vector<std::string> captured_names(const Node& node);

/// Whether a graph has a value of that name.
using Knows = std::function<bool(const std::string& name)>;

/// The nodes, each after those that make what it uses; nodes that are in order stay so. `is_given`: the graph has it as
/// an input or initializer; `is_around`: it is a value of the graph around this one. Throws Error naming `thing` for a
/// cycle, a value that nothing makes, and one that is made twice.
std::vector<const Node*> ordered_nodes(const std::vector<Node>& nodes, const std::string& thing, const Knows& is_given,
                                       const Knows& is_around);

}  // namespace incipit::onnx
