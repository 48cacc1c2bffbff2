// The last two stages: weights go into the file as they are packed, then all that says where they are.
#include <span>
#include <string_view>
#include <utility>

#include "base/thread_pool.h"
#include "compile/manifest.h"
#include "compile/pack.h"
#include "compile/stages.h"
#include "engine/plan_bytes.h"

namespace incipit {

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

CompileReport finish_engine(Packed packed, const CompileOptions& options, const Target& target,
                            std::span<const std::byte> device_code, EngineWriter& writer) {
  const auto add_text = [&](SectionKind kind, std::string_view text) {
    writer.add_section(kind, std::as_bytes(std::span(text.data(), text.size())));
  };
  const Model& model = packed.model;
  packed.draft.plan.precision = options.precision;
  writer.add_section(SectionKind::plan, plan_bytes(packed.draft.plan));
  if (!device_code.empty()) writer.add_section(SectionKind::device_code, device_code);
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
