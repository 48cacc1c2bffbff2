// What a graph holds, in numbers: for `inspect` and messages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace incipit {

class Graph;

/// Elements of the learned constants (weights or their codes, biases, gains): a tied one counts once, scales of
/// quantised weights and rotary's frequencies do not count.
int64_t parameter_count(const Graph& graph);

struct OpCount {
  std::string op;
  int32_t nodes = 0;
};
/// How often each op occurs, the most frequent first (then by name).
std::vector<OpCount> op_counts(const Graph& graph);

}  // namespace incipit
