// Passes: rewrites of a graph that keep its results. One rewrite a file; list.cpp holds the one ordered list.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace incipit {

/// What a pass may want to know.
struct PassContext {
  std::string precision = "f32";  // f32, bf16, int8 (quant/format.h)
};

struct Pass {
  std::string_view name;     // "merge_qkv": for --without, --after and reports
  std::string_view summary;  // one line for `inspect --passes`
  void (*run)(Graph&, const PassContext&);
};

/// All passes in the order they run; a pass may appear twice (remove_unused).
std::span<const Pass> passes();

struct PassOptions {
  std::string precision = "f32";
  std::set<std::string> without;  // names switched off
  /// Called after each pass that ran, for dumps.
  std::function<void(std::string_view name, const Graph&)> after;
};

struct PassReport {
  std::string name;
  double milliseconds = 0;
  int32_t nodes_before = 0, nodes_after = 0;
  bool skipped = false;
};

/// Runs the list: each pass timed, and the graph verified after it. Throws Error for an unknown name in `without` or an
/// unknown precision.
std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options);

}  // namespace incipit
