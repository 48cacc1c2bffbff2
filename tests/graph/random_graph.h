// Random valid graphs for property tests.
#pragma once

#include <random>

#include "graph/graph.h"

namespace incipit {

/// Between `nodes` and a few more nodes of every kind of op, over two token axes, with odd names, every dtype of
/// constant, absent inputs and unused values. The last value made is the output.
Graph random_graph(std::mt19937& random, int nodes);

}  // namespace incipit
