// Which value of a decoder's graph holds the logits.
#pragma once

#include "graph/graph.h"

namespace incipit {

/// The output called logits, else the first; where that is the most likely token, what it is taken from; `none` of a
/// graph without outputs.
ValueId find_logits(const Graph& graph);

}  // namespace incipit
