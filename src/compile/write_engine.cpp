// The last two stages: weights go into the file as they are packed, then all that says where they are.
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/thread_pool.h"
#include "compile/manifest.h"
#include "compile/pack.h"
#include "compile/stages.h"
#include "engine/plan_bytes.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"
#include "kernels/shadow/device_code.h"

namespace incipit {

namespace {

template <typename Family>
DeviceFunction first_function(const Target& target) {
  const Kernel<Family>& kernel = *kernels_for<Family>(target).front();
  return {std::string(kernel.name), kernel.abi};
}

/// What the target's device is to have in its code: the kernels of all steps, and those that the run time takes by
/// itself.
std::set<DeviceFunction> functions_of(const plan::PlanT& plan, const Target& target) {
  std::set<DeviceFunction> functions{first_function<ResetSlot>(target), first_function<TruncateSlot>(target),
                                     first_function<Publish>(target)};
  const auto add = [&](const plan::StepT& step) {
    for (const plan::KernelUseT& use : step.kernels) functions.insert({use.function, use.abi});
  };
  for (const plan::StepT& step : plan.steps) add(step);
  for (const plan::StepT* step : {plan.resolve_tokens.get(), plan.sample.get()}) add(*step);
  return functions;
}

}  // namespace

Packed pack_weights(Tuned tuned, const CompileOptions& options, EngineWriter& writer, Progress& progress) {
  Packed packed(std::move(tuned));
  ThreadPool pool(options.threads);
  progress.stage("weights", static_cast<int64_t>(packed.report.weight_bytes), "B");
  const auto write = [&](const DraftWeight& weight, bool allow_non_finite) {
    return write_weight(weight, writer, pool, allow_non_finite, [&](int64_t bytes) { progress.advance(bytes); });
  };
  PlanDraft& draft = packed.draft;
  for (const DraftWeight& weight : draft.weights) {
    draft.plan.weights.push_back(write(weight, options.allow_non_finite));
  }
  for (size_t i = 0; i < draft.constants.size(); ++i) {
    // Masks among the constants are infinite where nothing may be seen.
    draft.plan.graph->constants.at(i).offset = write(draft.constants[i], true).planes.at(0).offset;
  }
  progress.finish();
  return packed;
}

CompileReport finish_engine(Packed packed, const CompileOptions& options, const Target& target, EngineWriter& writer) {
  const auto add_text = [&](SectionKind kind, std::string_view text) {
    writer.add_section(kind, std::as_bytes(std::span(text.data(), text.size())));
  };
  const Model& model = packed.model;
  packed.draft.plan.precision = options.precision;
  writer.add_section(SectionKind::plan, plan_bytes(packed.draft.plan));
  if (target.backend == Backend::shadow) {
    add_text(SectionKind::device_code, write_device_code(functions_of(packed.draft.plan, target)));
  }
  add_text(SectionKind::manifest, make_manifest(packed, options, target));
  if (!packed.tokenizer.empty()) writer.add_section(SectionKind::tokenizer, packed.tokenizer);
  if (!model.chat_template.empty()) add_text(SectionKind::chat_template, model.chat_template);
  add_text(SectionKind::generation, model.generation_defaults);
  check_interrupt();
  packed.report.body_digest = writer.commit();
  packed.report.engine_bytes = writer.bytes();
  return std::move(packed.report);
}

}  // namespace incipit
