// The stage that chooses a kernel for every step and bucket.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/log.h"
#include "compile/stages.h"

namespace incipit {
namespace {

/// Asks the tuner once for every distinct problem of every bucket.
class KernelChooser {
 public:
  /// `one_for_all`: the choice of the largest bucket, which is where first tokens come from, for every bucket.
  KernelChooser(Tuner& tuner, KeptMeasurements& kept, const std::vector<BucketBounds>& buckets, bool one_for_all)
      : tuner_(tuner), kept_(kept), buckets_(buckets), one_for_all_(one_for_all) {}

  PlannedStep plan(const DraftStep& step) {
    PlannedStep planned{step, {}};
    for (const BucketBounds& own : buckets_) {
      const BucketBounds& bucket = one_for_all_ ? buckets_.back() : own;
      planned.kernels.push_back(choose(step.problem, step.axis == DraftAxis::tokens ? bucket.tokens : bucket.rows));
    }
    return planned;
  }
  int32_t problems() const { return static_cast<int32_t>(chosen_.size()); }

 private:
  const KernelChoice& choose(const std::string& problem, int32_t rows) {
    const auto key = std::make_pair(problem, rows);
    if (const auto found = chosen_.find(key); found != chosen_.end()) return found->second;
    check_interrupt();
    const KernelChoice& choice = chosen_.emplace(key, tuner_.choose({problem, rows})).first->second;
    kept_.save_some();
    return choice;
  }

  Tuner& tuner_;
  KeptMeasurements& kept_;
  const std::vector<BucketBounds>& buckets_;
  bool one_for_all_;
  std::map<std::pair<std::string, int32_t>, KernelChoice> chosen_;
};

void note_portable_fallbacks(const PlannedStep& planned, const Target& target, std::vector<PortableFallback>& list) {
  const std::string& problem = planned.step.problem;
  for (const KernelChoice& choice : planned.kernels) {
    if (!is_portable_fallback(problem, choice, target)) continue;
    auto known = std::ranges::find_if(
        list, [&](const PortableFallback& other) { return other.problem == problem && other.kernel == choice.kernel; });
    if (known == list.end()) known = list.insert(list.end(), {problem, choice.kernel, choice.microseconds > 0, 0});
    ++known->steps;
    return;
  }
}

/// No slow path is taken in silence.
std::vector<PortableFallback> tell_portable_fallbacks(const Tuned& tuned, const Target& target) {
  std::vector<PortableFallback> fallbacks;
  for (const PlannedStep& planned : tuned.frame) note_portable_fallbacks(planned, target, fallbacks);
  for (const PlannedStep& planned : tuned.steps) note_portable_fallbacks(planned, target, fallbacks);
  for (const PortableFallback& fallback : fallbacks) {
    const auto level = fallback.measured ? spdlog::level::info : spdlog::level::warn;
    spdlog::log(level, "{} steps run on {}, portable code, though the target has {}{}: {}", fallback.steps,
                fallback.kernel, to_string(target), fallback.measured ? ", as it was measured to be the fastest" : "",
                fallback.problem);
  }
  return fallbacks;
}

}  // namespace

Tuned choose_kernels(Planned planned, const CompileOptions& options, const Target& target, KeptMeasurements& kept,
                     Progress& progress) {
  Tuned tuned(std::move(planned));
  Tuner tuner(kept.cache(), {target, options.threads, 0.15, options.tune});
  KernelChooser chooser(tuner, kept, tuned.buckets, options.deterministic);
  progress.stage("kernels", static_cast<int64_t>(tuned.draft.steps.size()), "steps");
  for (const DraftStep& step : tuned.draft.steps) {
    tuned.steps.push_back(chooser.plan(step));
    progress.advance(1);
  }
  for (const DraftStep& step : tuned.draft.frame) tuned.frame.push_back(chooser.plan(step));
  progress.finish();
  kept.save_if_possible();
  tuned.report.portable_fallbacks = tell_portable_fallbacks(tuned, target);
  tuned.report.tuned_problems = chooser.problems();
  tuned.report.measured_problems = kept.cache().changes();
  return tuned;
}

}  // namespace incipit
