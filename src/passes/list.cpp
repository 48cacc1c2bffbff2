// The one ordered list of passes, and the wrapper around each.
#include <algorithm>
#include <chrono>

#include "graph/graph.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "quant/format.h"

namespace incipit {
namespace {

// Why this order: folding sees the importer's plain nodes; primitives are raised to what they mean before their tokens
// are packed, and what follows sees the same decoder whatever door it came in by; numbers go into norm gains before
// these go into weights, and both before weights are merged; pruning decides which products still share their input, so
// it precedes merging; the gate is fused from merged products; epilogues from whatever is left; quantize sees the final
// products; conversions follow it, each into the op before it, else into the product behind it; what then still lies
// between a product and its cache stays there.
constexpr Pass list[] = {
    {"fold_constants", "compute what depends on small constants only", fold_constants},
    {"simplify_primitives", "drop primitives that change nothing", simplify_primitives},
    {"raise_activations", "activation functions that are spelled out", raise_activations},
    {"raise_norms", "norms that are spelled out", raise_norms},
    {"raise_rotary", "rotations that are spelled out", raise_rotary},
    {"raise_attention", "attention that is spelled out, and its mask", raise_attention},
    {"pack_tokens", "one axis of tokens, and a cache", pack_tokens},
    {"raise_rows", "products, norms and sums of a graph that is no decoder", raise_rows},
    {"remove_unused", "drop what no output depends on", remove_unused},
    {"fold_scale", "multiply numbers into weights, gains and scales", fold_scale},
    {"fold_norm_gain", "multiply norm gains into the weights behind them", fold_norm_gain},
    {"prune_last_positions", "compute only sampled rows where nothing else is needed", prune_last_positions},
    {"merge_qkv", "one product for q, k and v", merge_qkv},
    {"merge_gate_up", "one product for gate and up", merge_gate_up},
    {"fuse_gate", "activation(gate)·up in the product's epilogue", fuse_gate},
    {"fuse_epilogues", "bias, activation and residual in the product's epilogue", fuse_epilogues},
    {"fuse_residual_norm", "remaining residual sums together with their norm", fuse_residual_norm},
    {"share_rotary", "one table of cosines and sines a step", share_rotary},
    {"fuse_rotary", "rotation of keys as they are written, of queries as they are read", fuse_rotary},
    {"quantize", "weights, activations and caches in the chosen precision", quantize},
    {"fuse_conversions", "conversions in the op before them", fuse_conversions},
    {"fuse_quantization", "rows of a product's own become codes in it", fuse_quantization},
    {"fuse_kv_write", "keys and values that the product behind them may write into their pages", fuse_kv_write},
    {"remove_unused", "drop what no output depends on", remove_unused},
};

/// Runs a pass and holds its graph to the rules.
void run_one(const Pass& pass, Graph& graph, const PassContext& context) {
  pass.run(graph, context);
  try {
    verify(graph);
  } catch (const Error& error) {
    throw Error("after pass " + std::string(pass.name), error.thing() + ": " + error.fault(),
                "this is a bug; build with --without " + std::string(pass.name) + " until it is mended");
  }
}

/// What a pass recognises also runs as it is. A form that nobody thought of must not end a build: the graph then stays
/// as it was, and whoever builds is told.
void run_or_leave(const Pass& pass, Graph& graph, const PassContext& context) {
  Graph before = graph.clone();
  try {
    run_one(pass, graph, context);
  } catch (const Error& error) {
    graph = std::move(before);
    context.note = error.thing() + ": " + error.fault() + "; this is a bug, which costs speed alone";
  }
}

}  // namespace

std::span<const Pass> passes() { return list; }

std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options) {
  const NamedWeightFormat& format = weight_format(options.precision);
  for (const KeptFormat& kept : options.kept) weight_format(kept.precision);
  for (const std::string& name : options.without) {
    if (std::none_of(std::begin(list), std::end(list), [&](const Pass& pass) { return pass.name == name; })) {
      throw Error("pass '" + name + "'", "there is no such pass", "see: incipit inspect MODEL --passes");
    }
  }
  std::vector<PassReport> reports;
  for (const Pass& pass : list) {
    if (std::find(options.without.begin(), options.without.end(), pass.name) != options.without.end()) continue;
    PassReport report{pass.name, 0, static_cast<int32_t>(graph.order().size()), 0};
    const PassContext context{
        format, report.note, options.kept, options.widen_four_bits, options.calibration.get(), options.cache};
    const auto start = std::chrono::steady_clock::now();
    pass.name.starts_with("raise_") ? run_or_leave(pass, graph, context) : run_one(pass, graph, context);
    report.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    report.nodes_after = static_cast<int32_t>(graph.order().size());
    reports.push_back(report);
    if (options.after) options.after(pass.name, graph);
  }
  return reports;
}

}  // namespace incipit
