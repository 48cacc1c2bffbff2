#include "compile/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/log.h"
#include "base/thread_pool.h"
#include "compile/buckets.h"
#include "compile/lower.h"
#include "compile/lower_plain_graph.h"
#include "compile/manifest.h"
#include "compile/memory_plan.h"
#include "compile/pack.h"
#include "compile/write_plan.h"
#include "engine/writer.h"
#include "graph/ops/embedding.h"
#include "graph/ops/kv_write.h"
#include "graph/summary.h"
#include "kernels/kv_pages.h"
#include "kernels/problem.h"
#include "kernels/sampling.h"
#include "kernels/slot_layout.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

// Tokens. A prompt that a step does not end gets 1,024 of them (session/scheduler.h).
constexpr int32_t largest_step = 1088;
constexpr int32_t smallest_row_bound = 64;  // sampled rows a step can have, at least: evaluation samples every token

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Of all graphs, only decoders embed their tokens by an op of their own.
bool is_decoder(const Graph& graph) {
  return std::ranges::any_of(graph.order(), [&](NodeId n) { return graph.op_as<ops::Embedding>(n) != nullptr; });
}

/// Why the passes did not make a decoder of the graph.
std::string why_plain(const std::vector<PassReport>& passes) {
  const auto packing = std::ranges::find(passes, "pack_tokens", &PassReport::name);
  if (packing == passes.end()) return "pack_tokens was left out";
  return packing->note.empty() ? "it has no input_ids, or inputs that decoders do not have" : packing->note;
}

/// What an ONNX model does not say, its decoder shows: how many layers, how wide, and how many positions have a learned
/// embedding. Throws Error where nothing tells how long a sequence may be.
void complete_from_graph(Model& model, const CompileOptions& options) {
  const Graph& graph = model.graph;
  int64_t layers = 0, positions = 0;
  for (const NodeId n : graph.order()) {
    layers += graph.op_as<ops::KvWrite>(n) != nullptr ? 1 : 0;
    if (graph.op_as<ops::Embedding>(n) == nullptr) continue;
    const std::vector<Dim>& table = graph.value(graph.node(n).inputs.at(1)).type.shape;
    model.hidden = table.at(1).constant();
    if (graph.node(n).inputs.at(0) == graph.find("position")) positions = table.at(0).constant();
  }
  model.layers = layers;
  if (positions > 0) model.max_position = model.max_position > 0 ? std::min(model.max_position, positions) : positions;
  if (model.max_position == 0) model.max_position = options.max_context;
  if (model.max_position == 0) {
    throw Error(model.name, "does not say how long a sequence may be", "give --max-context");
  }
}

/// The parts that options and model fix.
PlanParts bounds_of(const Model& model, const CompileOptions& options) {
  if (options.max_context < 0 || options.max_context > model.max_position) {
    throw Error("--max-context", fmt::format("{} is outside what the model was trained for", options.max_context),
                fmt::format("give 1 to {}", model.max_position));
  }
  if (options.max_batch < 1 || options.max_batch > largest_batch) {
    throw Error("--max-batch", fmt::format("{} is out of range", options.max_batch),
                fmt::format("give 1 to {}", largest_batch));
  }
  if (options.memory < 0) throw Error("--memory", "it is negative", "give a size such as 2G");
  PlanParts parts;
  parts.precision = options.precision;
  parts.max_context = static_cast<int32_t>(options.max_context > 0 ? options.max_context : model.max_position);
  parts.max_sequences = options.max_batch;
  const int32_t max_tokens = std::max(std::min(parts.max_context, largest_step), parts.max_sequences);
  parts.buckets = make_buckets(max_tokens, std::max(parts.max_sequences, smallest_row_bound), parts.max_sequences);
  return parts;
}

/// A plain graph has no sequences: all that is decided is how many rows one launch has, in two sizes.
PlanParts bounds_of_plain_graph(const CompileOptions& options) {
  for (const auto& [option, given] : {std::pair("--max-context", options.max_context), {"--memory", options.memory}}) {
    if (given != 0) throw Error(option, "means nothing to a plain graph, which has no sequences", "leave it out");
  }
  PlanParts parts;
  parts.precision = options.precision;
  for (const int32_t rows : {32, largest_step}) parts.buckets.push_back({rows, rows, 1});
  parts.arenas.resize(parts.buckets.size());
  return parts;
}

/// Refuses a --memory that cannot hold the weights, the arena, the sampling state and one sequence at full length.
/// Returns what is left for everything but the weights; 0: no bound.
uint64_t memory_for_state(const Model& model, const CompileOptions& options, const PlanDraft& draft,
                          const PlanParts& parts) {
  if (options.memory == 0) return 0;
  uint64_t weights = 0;
  for (const DraftWeight& weight : draft.weights) weights += weight_bytes(weight);
  uint64_t pages = 0;
  for (const DraftCacheGroup& group : draft.groups) {
    const int64_t count =
        most_kv_pages(group.geometry.tokens, group.window, parts.max_context, parts.buckets.back().tokens);
    pages += static_cast<uint64_t>(count * kv_page_pitch(group.geometry.page_bytes()));
  }
  uint64_t arena = 0;
  for (const ArenaPlan& plan : parts.arenas) arena = std::max(arena, plan.bytes);
  const auto state = static_cast<uint64_t>(SlotLayout(parts.max_sequences, parts.max_context, model.vocabulary).bytes);
  const uint64_t needed = weights + arena + state + pages;
  if (needed > static_cast<uint64_t>(options.memory)) {
    throw Error(
        "--memory",
        fmt::format(
            "{} bytes cannot hold this plan (weights {}, arena {}, sampling state {}, one sequence of {} tokens {})",
            options.memory, weights, arena, state, parts.max_context, pages),
        fmt::format("give at least {}, or lower --max-context or --max-batch", needed));
  }
  return static_cast<uint64_t>(options.memory) - weights;
}

/// Asks the tuner once for every distinct problem of every bucket.
class KernelChooser {
 public:
  /// `one_for_all`: the choice of the largest bucket, which is where first tokens come from, for every bucket.
  /// `after` is called when a choice has been made.
  KernelChooser(Tuner& tuner, bool one_for_all, std::function<void()> after)
      : tuner_(tuner), one_for_all_(one_for_all), after_(std::move(after)) {}

  PlannedStep plan(DraftStep step, const std::vector<BucketBounds>& buckets) {
    PlannedStep planned{std::move(step), {}};
    for (const BucketBounds& own : buckets) {
      const BucketBounds& bucket = one_for_all_ ? buckets.back() : own;
      const int32_t rows = planned.step.axis == DraftAxis::tokens ? bucket.tokens : bucket.rows;
      planned.kernels.push_back(choose(planned.step.problem, rows));
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
    after_();
    return choice;
  }

  Tuner& tuner_;
  bool one_for_all_;
  std::function<void()> after_;
  std::map<std::pair<std::string, int32_t>, KernelChoice> chosen_;
};

/// No slow path is taken in silence.
void note_portable_fallbacks(const PlannedStep& planned, CpuFeatures features, CompileReport& report) {
  const std::string& problem = planned.step.problem;
  for (const KernelChoice& choice : planned.kernels) {
    if (!is_portable_fallback(problem, choice, features)) continue;
    auto& list = report.portable_fallbacks;
    auto known = std::ranges::find_if(
        list, [&](const PortableFallback& other) { return other.problem == problem && other.kernel == choice.kernel; });
    if (known == list.end()) known = list.insert(list.end(), {problem, choice.kernel, choice.microseconds > 0, 0});
    ++known->steps;
    return;
  }
}

/// The tuning cache of a build, saved as it grows: what was measured outlives an interrupt, and a kill costs what the
/// last second brought.
class KeptMeasurements {
 public:
  explicit KeptMeasurements(const std::filesystem::path& path)
      : path_(path), cache_(path.empty() ? TuningCache() : TuningCache::load(path)) {}
  ~KeptMeasurements() {
    try {
      save();
    } catch (const std::exception& error) {
      spdlog::warn("{}", error.what());
    }
  }
  KeptMeasurements(const KeptMeasurements&) = delete;
  KeptMeasurements& operator=(const KeptMeasurements&) = delete;

  TuningCache& cache() { return cache_; }

  /// Throws Error when the very first result cannot be saved, before much is measured. Later failures are save()'s,
  /// which is called when the engine is whole.
  void save_some() {
    if (path_.empty() || !cache_.unsaved()) return;
    if (!tried_) {
      save();
    } else if (Clock::now() - *tried_ >= std::chrono::seconds(1)) {
      save_if_possible();
    }
    tried_ = Clock::now();
  }
  void save_if_possible() {
    try {
      if (!path_.empty() && cache_.unsaved()) cache_.save(path_);
    } catch (const Error& error) {
      spdlog::debug("{}", error.what());
    }
  }
  /// Throws Error, and does not try again.
  void save() {
    if (path_.empty() || !cache_.unsaved()) return;
    const std::filesystem::path path = std::exchange(path_, {});
    cache_.save(path);
    path_ = path;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::filesystem::path path_;  // empty: nothing is kept
  TuningCache cache_;
  std::optional<Clock::time_point> tried_;
};

void choose_kernels(const Model& model, PlanDraft& draft, PlanParts& parts, const CompileOptions& options,
                    CpuFeatures features, KeptMeasurements& kept, CompileReport& report, Progress& progress) {
  Tuner tuner(kept.cache(), {features, options.threads, 0.15, options.tune});
  KernelChooser chooser(tuner, options.deterministic, [&] { kept.save_some(); });
  progress.stage("kernels", static_cast<int64_t>(draft.steps.size()), "steps");
  for (DraftStep& step : draft.steps) {
    parts.steps.push_back(chooser.plan(step, parts.buckets));
    progress.advance(1);
  }
  if (!draft.graph) {
    const ResolveTokens::Problem resolve{static_cast<int32_t>(model.vocabulary)};
    const Sample::Problem sample{static_cast<int32_t>(model.vocabulary)};
    parts.resolve_tokens = chooser.plan({"resolve_tokens", to_text(resolve), DraftAxis::tokens, {}, {}}, parts.buckets);
    parts.sample = chooser.plan({"sample", to_text(sample), DraftAxis::rows, {}, {}}, parts.buckets);
    note_portable_fallbacks(parts.resolve_tokens, features, report);
    note_portable_fallbacks(parts.sample, features, report);
  }
  progress.finish();
  for (const PlannedStep& planned : parts.steps) note_portable_fallbacks(planned, features, report);
  for (const PortableFallback& fallback : report.portable_fallbacks) {
    const auto level = fallback.measured ? spdlog::level::info : spdlog::level::warn;
    spdlog::log(level, "{} steps run on {}, portable code, though the target has {}{}: {}", fallback.steps,
                fallback.kernel, to_string(features), fallback.measured ? ", as it was measured to be the fastest" : "",
                fallback.problem);
  }
  report.tuned_problems = chooser.problems();
  report.measured_problems = kept.cache().changes();
}

/// A plain graph's constants, which are read where they are mapped.
std::vector<DraftWeight> constants_of(const PlanDraft& draft) {
  std::vector<DraftWeight> constants;
  if (!draft.graph) return constants;
  for (const DraftConstant& constant : draft.graph->constants) {
    DraftWeight& weight = constants.emplace_back();
    weight.name = constant.name;
    weight.values = constant.values;
  }
  return constants;
}

bool brings_tokenizer(const Model& model) {
  if (model.directory.empty()) return false;
  if (has_tokenizer(model.directory)) return true;
  spdlog::warn("{} has no tokenizer: the engine will take and give token ids only", model.directory.string());
  return false;
}

/// Where the engine goes, and what it takes from the model's folder as it is: made before anything is measured.
struct Output {
  EngineWriter writer;
  std::vector<std::byte> tokenizer;
};

void write_engine(const Model& model, const PlanDraft& draft, PlanParts& parts, const CompileOptions& options,
                  CpuFeatures features, Output& output, CompileReport& report, Progress& progress) {
  const std::vector<DraftWeight> constants = constants_of(draft);
  for (const auto* list : {&draft.weights, &constants}) {
    for (const DraftWeight& weight : *list) report.weight_bytes += weight_bytes(weight);
  }
  EngineWriter& writer = output.writer;
  ThreadPool pool(options.threads);
  progress.stage("weights", static_cast<int64_t>(report.weight_bytes), "B");
  const auto write = [&](const DraftWeight& weight, bool allow_non_finite) {
    return write_weight(weight, writer, pool, allow_non_finite, [&](int64_t bytes) { progress.advance(bytes); });
  };
  for (const DraftWeight& weight : draft.weights) parts.planes.push_back(write(weight, options.allow_non_finite));
  // Masks among the constants are infinite where nothing may be seen.
  for (const DraftWeight& constant : constants) parts.constants.push_back(write(constant, true).at(0));
  progress.finish();
  const auto add_text = [&](SectionKind kind, std::string_view text) {
    writer.add_section(kind, std::as_bytes(std::span(text.data(), text.size())));
  };
  writer.add_section(SectionKind::plan, write_plan(model, draft, parts));
  add_text(SectionKind::manifest, make_manifest(model, options, features, report));
  if (!output.tokenizer.empty()) writer.add_section(SectionKind::tokenizer, output.tokenizer);
  if (!draft.graph && !model.chat_template.empty()) add_text(SectionKind::chat_template, model.chat_template);
  add_text(SectionKind::generation, model.generation_defaults);
  check_interrupt();
  report.body_digest = writer.commit();
  report.engine_bytes = writer.bytes();
}

}  // namespace

CompileReport compile(Model model, const CompileOptions& options, const std::filesystem::path& target_path,
                      Progress& progress) {
  if (options.precision != "f32" && std::ranges::find(options.without, "quantize") != options.without.end()) {
    throw Error("--without quantize", fmt::format("nothing would be stored as {}", options.precision),
                "give --precision f32 with it");
  }
  const CpuFeatures features = target_features(options.target);
  CompileReport report;
  auto start = std::chrono::steady_clock::now();
  report.parameters = parameter_count(model.graph);
  PassOptions pass_options;
  pass_options.precision = options.precision;
  pass_options.without = options.without;
  const PortNames names = port_names(model);
  report.passes = run_passes(model.graph, pass_options);
  PlanParts parts;
  PlanDraft draft;
  if (is_decoder(model.graph)) {
    if (model.layers == 0) complete_from_graph(model, options);
    parts = bounds_of(model, options);
    draft = lower(model, LowerOptions{});
    for (const BucketBounds& bucket : parts.buckets)
      parts.arenas.push_back(plan_arena(draft, bucket.tokens, bucket.rows));
    parts.memory_limit = memory_for_state(model, options, draft, parts);
    report.steps = static_cast<int32_t>(draft.steps.size());
  } else {
    report.plain = why_plain(report.passes);
    parts = bounds_of_plain_graph(options);
    draft = lower_plain_graph(model.graph, names);
    report.steps = static_cast<int32_t>(draft.graph->operations.size());
    report.launches = static_cast<int32_t>(draft.steps.size());
  }
  report.pass_seconds = seconds_since(start);

  Output output{EngineWriter(target_path, features), {}};
  if (!draft.graph && brings_tokenizer(model)) output.tokenizer = compile_tokenizer(model.directory);
  KeptMeasurements kept(options.tuning_cache);
  start = std::chrono::steady_clock::now();
  choose_kernels(model, draft, parts, options, features, kept, report, progress);
  kept.save_if_possible();
  report.tune_seconds = seconds_since(start);

  start = std::chrono::steady_clock::now();
  write_engine(model, draft, parts, options, features, output, report, progress);
  report.pack_seconds = seconds_since(start);
  kept.save();
  return report;
}

}  // namespace incipit
