#include "calibrate/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/target.h"
#include "calibrate/collect.h"
#include "graph/graph.h"
#include "graph/ops/quantized_linear.h"
#include "passes/pass.h"
#include "session/evaluate.h"

namespace incipit {
namespace {

constexpr int32_t held_out_of = 10, smallest_window = 16;
/// More windows change codes less than another text would.
constexpr int64_t most_seen = 144;

/// Its products with codes of four bits, but for experts: those whose rounding can be compensated.
std::set<std::string, std::less<>> four_bit_products(Graph graph, const CompileOptions& compiled) {
  PassOptions options;
  options.precision = compiled.precision;
  options.kept = compiled.kept;
  options.without = compiled.without;
  options.calibration = std::make_shared<Calibration>();
  run_passes(graph, options);
  std::set<std::string, std::less<>> names;
  for (const NodeId n : graph.order()) {
    const auto* linear = graph.op_as<ops::QuantizedLinear>(n);
    if (linear == nullptr || !linear->weight_format().four_bits) continue;
    std::string name = graph.value(graph.node(n).inputs[2]).name;
    for (const std::string_view ending : {".codes", ".weight"}) {
      if (name.ends_with(ending)) name.resize(name.size() - ending.size());
    }
    names.insert(std::move(name));
  }
  return names;
}

/// As what is built in the end, but that it runs here, alone, and only a few times.
CompileOptions trial_options(const CompileOptions& compiled, std::shared_ptr<const Calibration> calibration) {
  CompileOptions options = compiled;
  options.calibration = std::move(calibration);
  if (!runs_here(named_target(options.target))) options.target = "native";
  options.max_batch = 1;
  options.memory = 0;
  options.tune = false;
  options.tuning_cache.clear();
  return options;
}

class Trials {
 public:
  Trials(Gateway& reference, const CalibrationWindows& windows, const std::function<Model()>& make_model,
         const CompileOptions& compiled, const std::filesystem::path& folder, Progress& progress)
      : reference_(reference),
        windows_(windows),
        make_model_(make_model),
        compiled_(compiled),
        path_(folder / "trial"),
        progress_(progress) {}

  EngineComparison compare(const CalibrationChoice& choice) {
    compile(make_model_(), trial_options(compiled_, choice.calibration), path_, progress_);
    GatewayOptions options;
    options.session.threads = compiled_.threads;
    options.session.prefix_cache = false;
    Gateway trial(Engine::open(path_), options);
    CompareOptions compare;
    compare.window = windows_.window;
    compare.worst = 0;
    progress_.stage(fmt::format("comparing {}", choice.name), std::ssize(windows_.held_out), "tokens");
    EngineComparison found = compare_engines(reference_, trial, windows_.held_out, compare,
                                             [&](int64_t count) { progress_.advance(count); });
    progress_.finish();
    return found;
  }

 private:
  Gateway& reference_;
  const CalibrationWindows& windows_;
  const std::function<Model()>& make_model_;
  const CompileOptions& compiled_;
  std::filesystem::path path_;
  Progress& progress_;
};

std::shared_ptr<const Calibration> with_moments(const TextStatistics& statistics, std::string made) {
  auto calibration = std::make_shared<Calibration>();
  calibration->moments = statistics.moments;
  calibration->made = std::move(made);
  return calibration;
}

}  // namespace

CalibrationWindows calibration_windows(std::span<const int32_t> tokens, int32_t largest) {
  CalibrationWindows windows;
  const auto longest = static_cast<int32_t>(std::min<size_t>(tokens.size() / held_out_of, INT32_MAX));
  windows.window = std::min(largest, longest);
  if (windows.window < std::min(smallest_window, largest)) {
    throw Error("text", fmt::format("it has {} tokens, which show too little of a model", tokens.size()),
                fmt::format("give one of {} or more; some ten thousand are good", held_out_of * smallest_window));
  }
  std::vector<std::vector<int32_t>> all = windows_of(tokens, windows.window);
  // Of a long text some, spread over all of it.
  const int64_t most = most_seen * held_out_of / (held_out_of - 1), count = std::ssize(all);
  for (int64_t i = 0; i < most && most < count; ++i) {
    std::swap(all[static_cast<size_t>(i)], all[static_cast<size_t>(i * count / most)]);
  }
  all.resize(static_cast<size_t>(std::min(most, count)));
  for (size_t i = 0; i < all.size(); ++i) {
    if (i % held_out_of == held_out_of - 1) {
      windows.held_out.insert(windows.held_out.end(), all[i].begin(), all[i].end());
    } else {
      windows.seen.push_back(std::move(all[i]));
    }
  }
  return windows;
}

CompileOptions calibrated_reference(const CompileOptions& compiled) {
  CompileOptions options = trial_options(compiled, std::make_shared<Calibration>());
  options.precision = "f32";
  options.kept.clear();
  return options;
}

CalibrationFound calibrate(Gateway& reference, std::span<const int32_t> tokens,
                           const std::function<Model()>& make_model, const CompileOptions& compiled,
                           const CalibrateOptions& options, Progress& progress) {
  const CalibrationWindows windows =
      calibration_windows(tokens, std::min(options.window, reference.limits().max_context));
  CollectOptions collected;
  collected.folder = options.folder;
  collected.threads = compiled.threads;
  if (options.rounding != Rounding::nearest) collected.moments = four_bit_products(make_model().graph, compiled);
  if (collected.moments.empty() && options.rounding != Rounding::nearest) {
    throw Error("--calibrate", fmt::format("{} has no product of four bits", compiled.precision),
                "build in one of the int4 precisions, or leave it out");
  }
  CalibrationFound found;
  found.seen_tokens = std::ssize(windows.seen) * windows.window;
  found.held_out_tokens = std::ssize(windows.held_out);
  TextStatistics statistics;
  if (!collected.moments.empty()) {
    progress.stage("calibrating", found.seen_tokens, "tokens");
    const auto engine = Engine::open(reference.engine().path());
    statistics = collect(engine, windows.seen, collected, [&](int64_t count) { progress.advance(count); });
    progress.finish();
  }
  if (options.rounding != Rounding::compensated) found.choices.push_back({"nearest", nullptr, {}});
  if (options.rounding != Rounding::nearest) {
    found.choices.push_back({"gptq", with_moments(statistics, "gptq on " + options.text_name), {}});
  }
  Trials trials(reference, windows, make_model, compiled, options.folder, progress);
  for (size_t i = 0; i < found.choices.size(); ++i) {
    found.choices[i].held_out = trials.compare(found.choices[i]);
    if (found.choices[i].held_out.mean_kl < found.choices[found.best].held_out.mean_kl) found.best = i;
  }
  return found;
}

}  // namespace incipit
