// Chooses kernels for a plan. Only `incipit build` tunes; the choice goes into the engine and into a text cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "kernels/device_function.h"
#include "kernels/weight_layout.h"

namespace incipit {

class CudaCompiler;

/// A kernel for one problem and so many rows.
struct KernelChoice {
  std::string kernel;
  uint32_t abi = 0;
  std::string config;
  double microseconds = 0;  // measured; 0: chosen without measuring
  std::string gpu = {};     // that it was measured on; empty: a processor
  bool operator==(const KernelChoice&) const = default;
};

/// Earlier measurements, one a line, sorted, so that caches can be read, compared and committed:
///   <target> | <problem> rows=<rows> | <kernel> abi=<n> config=<name> us=<time>
///
/// with " on <name>" behind it for a GPU. `target` is the text of the Target that the choice was made for.
class TuningCache {
 public:
  /// An empty cache when the file does not exist; throws Error naming file and line when it is malformed.
  static TuningCache load(const std::filesystem::path& path);
  /// Puts what was set since it was loaded or saved into the file, whose other lines stay: those of a build beside this
  /// one, too. A killed program leaves the old file or the new one. Throws Error when it cannot be written.
  void save(const std::filesystem::path& path);
  /// nullptr when there is none.
  const KernelChoice* find(const Target& target, std::string_view problem, int32_t rows) const;
  void set(const Target& target, std::string_view problem, int32_t rows, KernelChoice choice);
  size_t size() const { return entries_.size(); }
  /// How many choices were set since it was loaded, new ones or in place of stale ones.
  int32_t changes() const { return changes_; }
  /// Whether save() has something to add.
  bool unsaved() const { return !unsaved_.empty(); }

 private:
  std::map<std::string, KernelChoice> entries_;
  std::set<std::string> unsaved_;  // keys
  int32_t changes_ = 0;
};

/// What a device that loads code knows the choice by (function_of).
DeviceFunction function_of(std::string_view problem, std::string_view kernel, std::string_view config);

struct TuneRequest {
  std::string problem;                   // kernels/problem.h
  int32_t rows = 0;                      // of the step (tokens for attention: queries of one sequence at that context)
  const WeightLayout* layout = nullptr;  // of the weight, which candidates must read; null: that of the best guess
};

struct TunerOptions {
  Target target;                      // only kernels whose needs it includes
  int threads = 0;                    // for measuring; 0: all
  double seconds_per_problem = 0.15;  // of kernels running, for all candidates of one problem, about
  bool measure = true;                // false: best guess of the table (Kernel::guess), nothing runs
  CudaCompiler* compiler = nullptr;   // of candidates for a GPU; it must be there when they are measured
};

/// The layouts that a target's kernels for the problem read, best guess first; none for a family without weights.
/// Throws Error when there is no kernel for it.
std::vector<const WeightLayout*> layouts_read(std::string_view problem, const Target& target);

/// Candidates are all (kernel, config) of the problem's family that accept the problem, whose needs the target has and
/// that read the weight's layout. A cached choice whose kernel still exists with that ABI is taken as it is, unless it
/// was measured on a GPU of another name than the one that is here. Else, when this machine runs the target, the
/// families worth it (linear, attention) are measured: interleaved rounds over random data of the real shape, weights
/// cold (rotating copies larger than the caches) and the minimum kept; candidates whose estimate is a quarter above the
/// least are not measured, and those twice as slow as the best are dropped after the first round. Everything else, or a
/// target that is not here, takes the best guess of the table.
class Tuner {
 public:
  Tuner(TuningCache& cache, const TunerOptions& options);
  ~Tuner();
  /// Compiles what choosing for these will take, for a target whose kernels are compiled: all at once takes the least
  /// time.
  void expect(const std::vector<TuneRequest>& requests);
  /// Throws Error when no kernel of the table fits the problem ("no kernel for … on cpu-generic").
  KernelChoice choose(const TuneRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// True when the choice is portable code although the family has kernels for the target: slower than the machine
/// could be, and worth telling. A family that has portable kernels only (gathers, tables) never falls back.
bool is_portable_fallback(std::string_view problem, const KernelChoice& choice, const Target& target);

}  // namespace incipit
