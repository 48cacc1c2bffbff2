// An ONNX model as a graph of primitives, as it stands: nothing is recognised yet.
#pragma once

#include <map>
#include <string>

#include "graph/graph.h"
#include "import/onnx/model.h"

namespace incipit {

/// Values have their ONNX names. Functions of the model's own are put in place of their calls. Throws Error in one
/// line: all operators that are not supported with their nodes, a value that nothing makes, a cycle, an element type
/// that is declared and contradicts the operators, sequences; UnsupportedType for element types. A declared shape that
/// contradicts them is warned of, and theirs counts. `known` are inputs that are decided in the build and become
/// constants: ranks may depend on what they hold.
Graph import_onnx_graph(const onnx::Model& model, const std::map<std::string, Tensor>& known = {});

}  // namespace incipit
