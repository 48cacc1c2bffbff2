// A plain graph as readable text, in the manner of the graph's own text form.
#pragma once

#include <string>

#include "engine/plan_generated.h"

namespace incipit {

/// "f32[batch, 384]"; an extent that only a run shows is "?".
std::string type_text(const plan::Port& port);
/// One line for each input, constant, operation and output.
std::string describe_plain_graph(const plan::PlainGraph& graph);

}  // namespace incipit
