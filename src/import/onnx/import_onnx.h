// An ONNX model as a graph of primitives, as it stands: nothing is recognised yet.
#pragma once

#include "graph/graph.h"
#include "import/onnx/model.h"

namespace incipit {

/// Values have their ONNX names. Functions of the model's own are put in place of their calls. Throws Error in one
/// line: all operators that are not supported with their nodes, a value that nothing makes, a cycle, a shape that is
/// declared and contradicts the operators, sequences; UnsupportedType for element types.
Graph import_onnx_graph(const onnx::Model& model);

}  // namespace incipit
