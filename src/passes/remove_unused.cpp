#include "graph/graph.h"
#include "passes/passes.h"

namespace incipit {

void remove_unused(Graph& graph, const PassContext&) { graph.remove_unused(); }

}  // namespace incipit
