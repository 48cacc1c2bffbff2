// Graph → engine: passes, lowering, memory plan, kernel choice, packing, writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/progress.h"
#include "graph/model.h"
#include "passes/pass.h"

namespace incipit {

constexpr int32_t largest_batch = 1024;

struct CompileOptions {
  std::string precision = "bf16";                  // a name of weight_formats()
  std::vector<KeptFormat> kept;                    // products of other formats
  std::optional<DType> cache;                      // of keys and values: f32, bf16 or i8; none: the precision's
  std::shared_ptr<const Calibration> calibration;  // what a text has shown of the model; null: nothing
  std::string target = "native";                   // base/target.h
  int64_t max_context = 0;                         // positions of a sequence; 0: what the model was trained for
  int32_t max_batch = 8;                           // sequences at once, up to largest_batch
  int64_t memory = 0;  // bytes at run time: weights, arena, state and at least one full sequence; 0: no bound
  std::vector<std::string> without;    // passes switched off
  std::filesystem::path tuning_cache;  // read and extended; empty: none
  bool tune = true;                    // false: the table's first choice for every problem
  /// A text's tokens depend on nothing but the text and its seed: each step has one kernel for all buckets, whose
  /// result for a row does not depend on the rows beside it.
  bool deterministic = false;
  bool allow_non_finite = false;  // weights may be NaN or infinite
  int threads = 0;                // for tuning and packing; 0: all
  std::string version_tag;        // free text for the manifest
};

/// Steps of one problem that run on portable code although the target has vector units and the family kernels for them.
struct PortableFallback {
  std::string problem, kernel;
  bool measured = false;  // and found the fastest; else it was the only one that computes the problem
  int32_t steps = 0;
};

struct CompileReport {
  std::vector<PassReport> passes;
  std::string plain;  // why the model is no decoder, and the engine holds a plain graph; empty: it is one
  uint64_t weight_bytes = 0;
  uint64_t engine_bytes = 0;
  Digest body_digest;  // the engine's
  int64_t parameters = 0;
  int32_t steps = 0;                                 // kernel launches; or a plain graph's operations, of which
  int32_t launches = 0;                              // kernels compute so many, and primitives the others
  int32_t tuned_problems = 0;                        // distinct problems asked of the tuner, and
  int32_t measured_problems = 0;                     // those that the cache did not know
  std::vector<PortableFallback> portable_fallbacks;  // logged, and in the manifest
};

/// Compiles `model` (consumed: its graph is rewritten) into `target_path`, which appears only when it is whole. The
/// body is the same byte for byte for the same model, options and tuning cache. What the passes do not make a decoder
/// becomes a plain graph (runtime/plain/). Throws Error (an option that cannot hold, control flow in a plain graph, a
/// full disk); Ctrl-C throws too and leaves nothing behind but what was measured, in the tuning cache. What can fail
/// without tuning fails before it; a tuning cache that cannot be written in the end is told when the engine is whole.
CompileReport compile(Model model, const CompileOptions& options, const std::filesystem::path& target_path,
                      Progress& progress);

}  // namespace incipit
