#include "tune/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/log.h"
#include "device/launch.h"
#include "kernels/cuda/linear_estimate.h"
#include "kernels/family_list.h"
#include "kernels/problem.h"
#include "tune/cuda_compiler.h"
#include "workload/workload.h"

namespace incipit {
namespace {

constexpr double promising = 1.25;      // times the least estimate: worth measuring
constexpr double hopeless = 2.0;        // times the best, after the first round: dropped
constexpr int32_t screening_rows = 32;  // the first round of a large problem runs on this many rows
constexpr int32_t least_rounds = 3, most_rounds = 40;
/// A device with a queue begins a launch while the one before ends, as in a step: they are measured in a row.
constexpr size_t launches_in_a_row = 4;

template <typename Family>
struct Candidate {
  const Kernel<Family>* kernel;
  const KernelConfig* config;
  double best = std::numeric_limits<double>::infinity();  // seconds
  std::byte* workspace = nullptr;
  size_t workspace_bytes = 0;
};

template <typename Family>
std::vector<Candidate<Family>> candidates(const typename Family::Problem& problem, const Target& target,
                                          const WeightLayout* layout) {
  std::vector<Candidate<Family>> result;
  for (const Kernel<Family>* kernel : kernels_for<Family>(target)) {
    if (!kernel->accepts(problem)) continue;
    if (layout == nullptr) layout = kernel->layout;
    if (kernel->layout != layout) continue;
    for (const KernelConfig& config : kernel->configs) result.push_back({kernel, &config});
  }
  return result;
}

/// Leaves out what is estimated to be far from the best.
void keep_promising(std::vector<Candidate<Linear>>& list, const Linear::Problem& problem, int32_t rows) {
  const auto estimate = [&](const Candidate<Linear>& candidate) {
    return estimated_clocks(*candidate.kernel, problem, *candidate.config, rows);
  };
  double least = std::numeric_limits<double>::infinity();
  for (const Candidate<Linear>& candidate : list) least = std::min(least, estimate(candidate).value_or(least));
  std::erase_if(list, [&](const Candidate<Linear>& candidate) {
    return estimate(candidate).value_or(least) > promising * least;
  });
}

/// Whether some of them make the norm of their input. The others then need a launch that does, whose time counts as
/// theirs.
template <typename Family>
bool some_make_norms(const std::vector<Candidate<Family>>& list, const typename Family::Problem& problem) {
  if constexpr (std::is_same_v<Family, Linear>) {
    return problem.norm.any &&
           std::ranges::any_of(list, [](const Candidate<Linear>& candidate) { return candidate.kernel->normalizes; });
  }
  return false;
}
template <typename Problem>
RmsNorm::Problem norm_of(const Problem& problem) {
  RmsNorm::Problem norm;
  if constexpr (requires { problem.norm; }) {
    norm.width = problem.k;
    norm.epsilon = problem.norm.epsilon;
    norm.output = problem.input;
  }
  return norm;
}
/// Into the rows that the product reads.
RmsNorm::Args norm_args(const Linear::Args& product) {
  RmsNorm::Args args{};
  args.rows = product.rows;
  args.input = product.unnormed;
  args.input_stride = product.unnormed_stride;
  args.output = const_cast<std::byte*>(product.input);
  args.output_stride = product.input_stride;
  return args;
}

Error no_kernel(std::string_view problem, const Target& target) {
  return {problem, fmt::format("no kernel computes this with {}", to_string(target)),
          "choose another --target or --precision"};
}

/// What is taken where nothing is measured: the first that does not leave these rows to another.
template <typename Family>
Candidate<Family> best_guess(const std::vector<Candidate<Family>>& list, const typename Family::Problem& problem,
                             int32_t rows) {
  for (const Candidate<Family>& candidate : list) {
    if (candidate.kernel->guess == nullptr) return candidate;
    if (const KernelConfig* config = candidate.kernel->guess(problem, rows)) return {candidate.kernel, config};
  }
  return list.front();
}

template <typename Family>
KernelChoice choice_of(const Candidate<Family>& candidate) {
  const bool measured = candidate.best < std::numeric_limits<double>::infinity();
  return {std::string(candidate.kernel->name), candidate.kernel->abi, std::string(candidate.config->name),
          measured ? candidate.best * 1e6 : 0};
}

}  // namespace

struct Tuner::State {
  TuningCache& cache;
  TunerOptions options;
  std::unique_ptr<Device> device;  // null: nothing is measured
  std::string gpu;                 // its name; empty: a processor
  KeptWeights weights;             // of the last problem: its next number of rows takes them again

  State(TuningCache& c, const TunerOptions& o) : cache(c), options(o) {
    if (o.measure && runs_here(o.target)) device = make_device(o.target, o.threads);
    if (device != nullptr && o.target.backend == Backend::cuda) gpu = cuda::gpu().name;
  }

  /// A measurement of the cache's, of a kernel that is still there and computes the problem; null: there is none.
  template <typename Family>
  const KernelChoice* known_choice(const TuneRequest& request, const typename Family::Problem& problem) const {
    const KernelChoice* known = cache.find(options.target, request.problem, request.rows);
    if (known == nullptr) return nullptr;
    const Kernel<Family>* kernel = find_kernel<Family>(known->kernel);
    const bool fits = kernel != nullptr && kernel->abi == known->abi && options.target.includes(kernel->needs) &&
                      kernel->accepts(problem) && (request.layout == nullptr || kernel->layout == request.layout) &&
                      find_config(*kernel, known->config) != nullptr;
    const bool of_another = device != nullptr && !known->gpu.empty() && known->gpu != gpu;
    return fits && !of_another ? known : nullptr;
  }

  template <typename Family>
  std::vector<Candidate<Family>> candidates_for(const TuneRequest& request,
                                                const typename Family::Problem& problem) const {
    std::vector<Candidate<Family>> list = candidates<Family>(problem, options.target, request.layout);
    if (list.empty()) throw no_kernel(request.problem, options.target);
    if constexpr (std::is_same_v<Family, Linear>) {
      if (measures(list)) keep_promising(list, problem, request.rows);
    }
    return list;
  }

  template <typename Family>
  bool measures(const std::vector<Candidate<Family>>& list) const {
    constexpr bool worth_it =
        std::is_same_v<Family, Linear> || std::is_same_v<Family, ExpertLinear> || std::is_same_v<Family, Attention>;
    const bool is_emulated = options.target.backend == Backend::shadow;  // whose times say nothing
    return worth_it && device != nullptr && !is_emulated && list.size() > 1;
  }

  /// The functions that choose() will run, or what it will take unmeasured.
  template <typename Family>
  void add_functions(const TuneRequest& request, std::set<DeviceFunction>& functions) const {
    const auto problem = problem_from_text<typename Family::Problem>(request.problem);
    if (const KernelChoice* known = known_choice<Family>(request, problem)) {
      functions.insert(incipit::function_of(request.problem, known->kernel, known->config));
      return;
    }
    std::vector<Candidate<Family>> list = candidates_for<Family>(request, problem);
    if (!measures(list)) list = {best_guess(list, problem, request.rows)};
    for (const Candidate<Family>& candidate : list) {
      functions.insert(incipit::function_of(*candidate.kernel, problem, *candidate.config));
    }
  }

  const Kernel<RmsNorm>& norm_kernel() const { return *kernels_for<RmsNorm>(options.target).front(); }

  template <typename Family>
  void load_code(const std::vector<Candidate<Family>>& list, const typename Family::Problem& problem) {
    if (options.target.backend != Backend::cuda) return;
    std::set<DeviceFunction> functions;
    for (const Candidate<Family>& candidate : list) {
      functions.insert(incipit::function_of(*candidate.kernel, problem, *candidate.config));
    }
    if (some_make_norms(list, problem)) {
      const Kernel<RmsNorm>& norm = norm_kernel();
      functions.insert(incipit::function_of(norm, norm_of(problem), norm.configs.front()));
    }
    device->load_code(options.compiler->code_of(functions));
  }

  /// Interleaved rounds: every candidate meets the same state of the machine, and the minimum of its times counts.
  template <typename Workload, typename Family = typename Workload::Family>
  void measure(std::vector<Candidate<Family>>& list, const typename Family::Problem& problem, int32_t rows) {
    load_code(list, problem);
    Workload workload(*device, problem, list.front().kernel->layout, rows, &weights);
    DeviceOperands workspaces(*device);
    const bool is_cpu = options.target.backend == Backend::cpu;
    if constexpr (requires(typename Family::Args args) { args.workspace; }) {
      for (Candidate<Family>& candidate : list) {
        if (is_cpu || candidate.kernel->workspace_bytes == nullptr) continue;
        candidate.workspace_bytes = candidate.kernel->workspace_bytes(problem, *candidate.config, workload.context());
        candidate.workspace = workspaces.output(candidate.workspace_bytes);
      }
    }
    const bool with_norms = some_make_norms(list, problem);
    double spent = 0;
    const auto round = [&](int32_t of_rows) {
      for (Candidate<Family>& candidate : list) {
        std::vector<std::unique_ptr<PreparedLaunch>> launches;
        std::vector<const PreparedLaunch*> row;
        const size_t count = is_cpu ? 1 : launches_in_a_row;
        for (size_t i = 0; i < count; ++i) {
          typename Family::Args args = workload.next(of_rows);
          if constexpr (std::is_same_v<Family, Linear>) {
            if (with_norms && !candidate.kernel->normalizes) {
              const Kernel<RmsNorm>& norm = norm_kernel();
              launches.push_back(
                  prepare(*device, norm, norm.configs.front(), norm_of(problem), norm_args(args), of_rows));
            }
          }
          if constexpr (requires { args.workspace; }) {
            args.workspace = candidate.workspace;
            args.workspace_bytes = static_cast<int64_t>(candidate.workspace_bytes);
          }
          launches.push_back(prepare(*device, *candidate.kernel, *candidate.config, problem, args, of_rows));
        }
        for (const auto& launch : launches) row.push_back(launch.get());
        const double seconds = device->time(row);
        candidate.best = std::min(candidate.best, seconds / static_cast<double>(count));
        spent += seconds;
      }
    };
    // A GPU is not busy with few rows, so that they say nothing of many.
    const int32_t first_rows = is_cpu ? std::min(rows, screening_rows) : rows;
    round(first_rows);
    round(first_rows);
    double best = std::numeric_limits<double>::infinity();
    for (const Candidate<Family>& candidate : list) best = std::min(best, candidate.best);
    std::erase_if(list, [&](const Candidate<Family>& candidate) { return candidate.best > hopeless * best; });
    if (rows > first_rows) {
      for (Candidate<Family>& candidate : list) candidate.best = std::numeric_limits<double>::infinity();
    }
    spent = 0;
    for (int32_t done = 0; done < least_rounds || (done < most_rounds && spent < options.seconds_per_problem); ++done) {
      round(rows);
    }
    const auto in_step = [&](const Candidate<Family>& candidate) {
      const auto share = candidate.kernel->share_in_step;
      return share == nullptr ? candidate.best : candidate.best * share(problem, *candidate.config, rows);
    };
    std::ranges::stable_sort(list, {}, in_step);
    for (const Candidate<Family>& candidate : list) {
      log_debug("{:8.2f} us  {} {}: {} rows={}", candidate.best * 1e6, candidate.kernel->name, candidate.config->name,
                to_text(problem), rows);
    }
  }

  template <typename Family>
  KernelChoice choose(const TuneRequest& request) {
    const auto problem = problem_from_text<typename Family::Problem>(request.problem);
    if (const KernelChoice* known = known_choice<Family>(request, problem)) return *known;
    std::vector<Candidate<Family>> list = candidates_for<Family>(request, problem);
    const bool measured = measures(list);
    if constexpr (std::is_same_v<Family, Linear>) {
      if (measured) measure<LinearWorkload>(list, problem, request.rows);
    } else if constexpr (std::is_same_v<Family, ExpertLinear>) {
      if (measured) measure<ExpertLinearWorkload>(list, problem, request.rows);
    } else if constexpr (std::is_same_v<Family, Attention>) {
      if (measured) measure<AttentionWorkload>(list, problem, request.rows);
    }
    KernelChoice choice = choice_of(measured ? list.front() : best_guess(list, problem, request.rows));
    // Only measurements are worth keeping: a guess must not stand in the way of a later measurement.
    if (choice.microseconds > 0) {
      choice.gpu = gpu;
      cache.set(options.target, request.problem, request.rows, choice);
    }
    return choice;
  }
};

Tuner::Tuner(TuningCache& cache, const TunerOptions& options) : state_(std::make_unique<State>(cache, options)) {}
Tuner::~Tuner() = default;

void Tuner::expect(const std::vector<TuneRequest>& requests) {
  if (state_->options.target.backend != Backend::cuda || state_->options.compiler == nullptr) return;
  std::set<DeviceFunction> functions;
  for (const TuneRequest& request : requests) {
    with_family(family_of(request.problem),
                [&](auto tag) { state_->add_functions<typename decltype(tag)::type>(request, functions); });
  }
  state_->options.compiler->compile(functions);
}

KernelChoice Tuner::choose(const TuneRequest& request) {
  KernelChoice choice;
  const bool known = with_family(family_of(request.problem),
                                 [&](auto tag) { choice = state_->choose<typename decltype(tag)::type>(request); });
  if (!known) throw Error(request.problem, "no such kernel family");
  return choice;
}

std::vector<const WeightLayout*> layouts_read(std::string_view problem_text, const Target& target) {
  std::vector<const WeightLayout*> layouts;
  bool found = false;
  with_family(family_of(problem_text), [&](auto tag) {
    using Family = typename decltype(tag)::type;
    const auto problem = problem_from_text<typename Family::Problem>(problem_text);
    for (const Kernel<Family>* kernel : kernels_for<Family>(target)) {
      if (!kernel->accepts(problem)) continue;
      found = true;
      if (kernel->layout == nullptr || std::ranges::find(layouts, kernel->layout) != layouts.end()) continue;
      layouts.push_back(kernel->layout);
    }
  });
  if (!found) throw no_kernel(problem_text, target);
  return layouts;
}

DeviceFunction function_of(std::string_view problem, std::string_view kernel_name, std::string_view config_name) {
  DeviceFunction function;
  with_family(family_of(problem), [&](auto tag) {
    using Family = typename decltype(tag)::type;
    const Kernel<Family>* kernel = find_kernel<Family>(kernel_name);
    INCIPIT_ASSERT(kernel != nullptr);
    const KernelConfig* config = find_config(*kernel, config_name);
    INCIPIT_ASSERT(config != nullptr);
    function = incipit::function_of(*kernel, problem_from_text<typename Family::Problem>(problem), *config);
  });
  return function;
}

bool is_portable_fallback(std::string_view problem, const KernelChoice& choice, const Target& target) {
  bool fallback = false;
  with_family(family_of(problem), [&](auto tag) {
    using Family = typename decltype(tag)::type;
    const Target nothing(target.backend, 0);
    const Kernel<Family>* chosen = find_kernel<Family>(choice.kernel);
    INCIPIT_ASSERT(chosen != nullptr);
    fallback = chosen->needs == nothing && std::ranges::any_of(Family::kernels(), [&](const Kernel<Family>& kernel) {
                 return kernel.needs != nothing && target.includes(kernel.needs);
               });
  });
  return fallback;
}

}  // namespace incipit
