// The plan of a decoder: how long its sequences are, its steps, and the memory that these take.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "compile/buckets.h"
#include "compile/lower.h"
#include "compile/memory_plan.h"
#include "compile/pack.h"
#include "compile/stages.h"
#include "graph/ops/embedding.h"
#include "graph/ops/kv_write.h"
#include "kernels/kv_pages.h"
#include "kernels/problem.h"
#include "kernels/sampling.h"
#include "kernels/slot_layout.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit {
namespace {

constexpr int32_t smallest_row_bound = 64;  // sampled rows a step can have, at least: evaluation samples every token

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

/// Sets the bounds that options and model fix.
void set_bounds(Planned& planned, const CompileOptions& options) {
  const int64_t trained = planned.model.max_position;
  if (options.max_context < 0 || options.max_context > trained) {
    throw Error("--max-context", fmt::format("{} is outside what the model was trained for", options.max_context),
                fmt::format("give 1 to {}", trained));
  }
  if (options.max_batch < 1 || options.max_batch > largest_batch) {
    throw Error("--max-batch", fmt::format("{} is out of range", options.max_batch),
                fmt::format("give 1 to {}", largest_batch));
  }
  if (options.memory < 0) throw Error("--memory", "it is negative", "give a size such as 2G");
  const auto context = static_cast<int32_t>(options.max_context > 0 ? options.max_context : trained);
  plan::PlanT& plan = planned.draft.plan;
  plan.max_context = unsigned32(context);
  plan.max_sequences = unsigned32(options.max_batch);
  plan.buckets = make_buckets(std::max(std::min(context, largest_step), options.max_batch),
                              std::max(options.max_batch, smallest_row_bound), options.max_batch);
}

/// What the plan repeats of the model.
void describe_model(const Model& model, plan::PlanT& plan) {
  plan.vocabulary = unsigned32(model.vocabulary);
  plan.hidden = unsigned32(model.hidden);
  plan.layers = unsigned32(model.layers);
  plan.begin_id = static_cast<int32_t>(model.begin_id);
  for (const int64_t id : model.end_ids) plan.end_ids.push_back(static_cast<int32_t>(id));
}

/// The launches before and behind the graph's, which every decoder has.
void add_frame(plan::PlanT& plan) {
  const auto vocabulary = static_cast<int32_t>(plan.vocabulary);
  const auto frame = [](std::string name, std::string problem, plan::Axis axis) {
    auto step = std::make_unique<plan::StepT>();
    step->name = std::move(name);
    step->problem = std::move(problem);
    step->axis = axis;
    return step;
  };
  plan.resolve_tokens = frame("resolve_tokens", to_text(ResolveTokens::Problem{vocabulary}), plan::Axis::tokens);
  plan.sample = frame("sample", to_text(Sample::Problem{vocabulary}), plan::Axis::rows);
}

/// Refuses a --memory that cannot hold the weights, the arena, the sampling state and one sequence at full length.
/// Returns what is left for everything but the weights; 0: no bound.
uint64_t memory_for_state(const Planned& planned, int64_t memory) {
  if (memory == 0) return 0;
  const plan::PlanT& plan = planned.draft.plan;
  const uint64_t weights = planned.report.weight_bytes;
  uint64_t pages = 0;
  for (const plan::CacheGroupT& group : plan.groups) {
    const int64_t count = most_kv_pages(group.page_tokens, group.window, plan.max_context, plan.buckets.back().tokens);
    pages += static_cast<uint64_t>(count * kv_page_pitch(static_cast<int64_t>(group.page_bytes)));
  }
  uint64_t arena = 0;
  for (const plan::BucketT& bucket : plan.buckets) arena = std::max(arena, bucket.arena_bytes);
  const auto state = static_cast<uint64_t>(SlotLayout(plan.max_sequences, plan.max_context, plan.vocabulary).bytes);
  const uint64_t needed = weights + arena + state + pages;
  if (needed > static_cast<uint64_t>(memory)) {
    throw Error(
        "--memory",
        fmt::format(
            "{} bytes cannot hold this plan (weights {}, arena {}, sampling state {}, one sequence of {} tokens {})",
            memory, weights, arena, state, plan.max_context, pages),
        fmt::format("give at least {}, or lower --max-context or --max-batch", needed));
  }
  return static_cast<uint64_t>(memory) - weights;
}

std::vector<std::byte> tokenizer_of(const Model& model) {
  if (model.directory.empty()) return {};
  if (has_tokenizer(model.directory)) return compile_tokenizer(model.directory);
  log_warning("{} has no tokenizer: the engine will take and give token ids only", model.directory.string());
  return {};
}

}  // namespace

Planned plan_decoder(Rewritten rewritten, const CompileOptions& options, const Target& target) {
  Planned planned(std::move(rewritten));
  if (planned.model.layers == 0) complete_from_graph(planned.model, options);
  planned.draft = lower(planned.model, LowerOptions{page_format(target.backend), target});
  plan::PlanT& plan = planned.draft.plan;
  describe_model(planned.model, plan);
  set_bounds(planned, options);
  add_frame(plan);
  for (plan::BucketT& bucket : plan.buckets) place_buffers(plan, bucket, rows_behind(target.backend));
  planned.report.steps = static_cast<int32_t>(plan.steps.size());
  choose_layouts(planned.draft, target);
  planned.report.weight_bytes = weight_bytes(planned.draft);
  plan.memory_limit = memory_for_state(planned, options.memory);
  planned.tokenizer = tokenizer_of(planned.model);
  return planned;
}

}  // namespace incipit
