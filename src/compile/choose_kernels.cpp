// The stage that chooses the kernels of every step.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "compile/buckets.h"
#include "compile/stages.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

/// Up to how many rows of an axis a step may have other kernels: ascending, the last for the largest step.
std::vector<int32_t> edges_of(const plan::PlanT& plan, plan::Axis axis, const Target& target) {
  const plan::BucketT& largest = plan.buckets.back();
  const auto most = static_cast<int32_t>(axis == plan::Axis::tokens ? largest.tokens : largest.rows);
  if (!plan.graph) return target.backend == Backend::cpu ? row_edges(most) : accelerator_row_edges(most);
  std::vector<int32_t> edges;  // a plain graph's are few: it launches all of its rows at once
  for (const plan::BucketT& bucket : plan.buckets) edges.push_back(static_cast<int32_t>(bucket.tokens));
  return edges;
}

/// Of the packed weight that a step reads; null: it reads none.
const WeightLayout* layout_of_weight(const PlanDraft& draft, const plan::StepT& step) {
  for (const plan::OperandT& input : step.inputs) {
    if (input.space != plan::Space::weight) continue;
    const DraftWeight& weight = draft.weights[input.index];
    if (weight.layout != nullptr) return weight.layout;
  }
  return nullptr;
}

/// Asks the tuner once for every distinct problem at every edge.
class KernelChooser {
 public:
  /// `one_for_all`: the choice for the largest steps, which is where first tokens come from, for all.
  KernelChooser(Tuner& tuner, const Target& target, KeptMeasurements& kept, const plan::PlanT& plan, bool one_for_all)
      : tuner_(tuner), target_(target), kept_(kept) {
    for (const plan::Axis axis : {plan::Axis::tokens, plan::Axis::rows}) {
      std::vector<int32_t>& edges = edges_[axis];
      edges = edges_of(plan, axis, target);
      if (one_for_all) edges.erase(edges.begin(), edges.end() - 1);
    }
  }

  /// Gives a step its kernels, and tells what was chosen.
  /// `layout`: of the packed weight that it reads; null: it reads none.
  std::vector<KernelChoice> choose(plan::StepT& step, const WeightLayout* layout) {
    std::vector<KernelChoice> choices;
    for (const int32_t rows : edges_.at(step.axis)) {
      const KernelChoice& choice = choices.emplace_back(choose({step.problem, rows, layout}));
      plan::KernelUseT use;
      use.rows = static_cast<uint32_t>(rows);
      use.kernel = choice.kernel;
      use.abi = choice.abi;
      use.config = choice.config;
      if (target_.backend != Backend::cpu) use.function = function_of(step.problem, use.kernel, use.config).name;
      const bool same =
          !step.kernels.empty() && step.kernels.back().kernel == use.kernel && step.kernels.back().config == use.config;
      if (same) step.kernels.pop_back();
      step.kernels.push_back(std::move(use));
    }
    return choices;
  }
  /// What choose() will ask of the tuner for a step.
  void add_requests(const plan::StepT& step, const WeightLayout* layout, std::vector<TuneRequest>& requests) const {
    for (const int32_t rows : edges_.at(step.axis)) requests.push_back({step.problem, rows, layout});
  }
  int32_t problems() const { return static_cast<int32_t>(chosen_.size()); }

 private:
  const KernelChoice& choose(const TuneRequest& request) {
    const auto key = std::tuple(request.problem, request.rows, request.layout);
    if (const auto found = chosen_.find(key); found != chosen_.end()) return found->second;
    check_interrupt();
    const KernelChoice& choice = chosen_.emplace(key, tuner_.choose(request)).first->second;
    kept_.save_some();
    return choice;
  }

  Tuner& tuner_;
  Target target_;
  KeptMeasurements& kept_;
  std::map<plan::Axis, std::vector<int32_t>> edges_;
  std::map<std::tuple<std::string, int32_t, const WeightLayout*>, KernelChoice> chosen_;
};

/// Whether a step's kernel for so many rows reads what `buffer` is the norm of in its place.
bool normalizes(const plan::StepT& step, uint32_t rows, uint32_t buffer) {
  if (family_of(step.problem) != Linear::Problem::family) return false;
  for (size_t i = 1; i < step.inputs.size(); ++i) {
    if (step.inputs[i].space == plan::Space::buffer && step.inputs[i].index == buffer) return false;
  }
  const auto use = std::ranges::find_if(step.kernels, [&](const plan::KernelUseT& of) { return of.rows >= rows; });
  return problem_from_text<Linear::Problem>(step.problem).norm.any && find_kernel<Linear>(use->kernel)->normalizes;
}

/// Takes the kernels from a norm's step for as many rows as all who read its result do without.
void leave_out_norm(const plan::PlanT& plan, plan::StepT& norm) {
  if (family_of(norm.problem) != RmsNorm::Problem::family || norm.outputs.size() != 1) return;
  const uint32_t buffer = norm.outputs.front().index;
  std::vector<const plan::StepT*> readers;
  for (const plan::StepT* step = &norm + 1; step != plan.steps.data() + plan.steps.size(); ++step) {
    const auto is_buffer = [&](const plan::OperandT& operand) {
      return operand.space == plan::Space::buffer && operand.index == buffer;
    };
    if (std::ranges::any_of(step->inputs, is_buffer)) readers.push_back(step);
  }
  if (readers.empty()) return;
  std::set<uint32_t> edges;
  for (const plan::StepT* reader : readers) {
    for (const plan::KernelUseT& use : reader->kernels) edges.insert(use.rows);
  }
  for (const plan::KernelUseT& use : norm.kernels) edges.insert(use.rows);
  std::vector<plan::KernelUseT> uses;
  for (const uint32_t rows : edges) {
    const bool left_out =
        std::ranges::all_of(readers, [&](const plan::StepT* reader) { return normalizes(*reader, rows, buffer); });
    plan::KernelUseT use = *std::ranges::find_if(norm.kernels, [&](const auto& of) { return of.rows >= rows; });
    if (left_out) use = {};
    use.rows = rows;
    if (!uses.empty() && uses.back().kernel == use.kernel && uses.back().config == use.config) uses.pop_back();
    uses.push_back(std::move(use));
  }
  norm.kernels = std::move(uses);
}

void note_portable_fallbacks(const std::string& problem, const std::vector<KernelChoice>& choices, const Target& target,
                             std::vector<PortableFallback>& list) {
  for (const KernelChoice& choice : choices) {
    if (!is_portable_fallback(problem, choice, target)) continue;
    auto known = std::ranges::find_if(
        list, [&](const PortableFallback& other) { return other.problem == problem && other.kernel == choice.kernel; });
    if (known == list.end()) known = list.insert(list.end(), {problem, choice.kernel, choice.microseconds > 0, 0});
    ++known->steps;
    return;
  }
}

/// No slow path is taken in silence.
void tell_portable_fallbacks(const std::vector<PortableFallback>& fallbacks, const Target& target) {
  for (const PortableFallback& fallback : fallbacks) {
    const std::string line = fmt::format(
        "{} steps run on {}, portable code, though the target has {}{}: {}", fallback.steps, fallback.kernel,
        to_string(target), fallback.measured ? ", as it was measured to be the fastest" : "", fallback.problem);
    write_log(fallback.measured ? LogLevel::info : LogLevel::warning, "{}", fmt::make_format_args(line));
  }
}

}  // namespace

Tuned choose_kernels(Planned planned, const CompileOptions& options, const Target& target, KeptMeasurements& kept,
                     CudaCompiler* compiler, Progress& progress) {
  Tuned tuned(std::move(planned));
  plan::PlanT& plan = tuned.draft.plan;
  Tuner tuner(kept.cache(), {target, options.threads, 0.15, options.tune, compiler});
  KernelChooser chooser(tuner, target, kept, plan, options.deterministic);
  std::vector<PortableFallback>& fallbacks = tuned.report.portable_fallbacks;
  const auto choose = [&](plan::StepT& step) {
    note_portable_fallbacks(step.problem, chooser.choose(step, layout_of_weight(tuned.draft, step)), target, fallbacks);
  };
  std::vector<TuneRequest> requests;
  for (const plan::StepT& step : plan.steps) chooser.add_requests(step, layout_of_weight(tuned.draft, step), requests);
  for (const plan::StepT* step : {plan.resolve_tokens.get(), plan.sample.get()}) {
    if (step != nullptr) chooser.add_requests(*step, nullptr, requests);
  }
  if (compiler != nullptr) progress.stage("compiling kernels", 0);
  tuner.expect(requests);
  if (compiler != nullptr) progress.finish();
  progress.stage("kernels", static_cast<int64_t>(plan.steps.size()), "steps");
  for (plan::StepT& step : plan.steps) {
    choose(step);
    progress.advance(1);
  }
  for (plan::StepT* step : {plan.resolve_tokens.get(), plan.sample.get()}) {
    if (step != nullptr) choose(*step);
  }
  for (plan::StepT& step : plan.steps) leave_out_norm(plan, step);
  progress.finish();
  kept.save_if_possible();
  tell_portable_fallbacks(fallbacks, target);
  tuned.report.tuned_problems = chooser.problems();
  tuned.report.measured_problems = kept.cache().changes();
  return tuned;
}

}  // namespace incipit
