// The last two stages: weights go into the file as they are packed, then all that says where they are.
#include <span>
#include <string_view>
#include <utility>

#include "base/thread_pool.h"
#include "compile/manifest.h"
#include "compile/stages.h"
#include "compile/write_plan.h"

namespace incipit {

Packed pack_weights(Tuned tuned, const CompileOptions& options, EngineWriter& writer, Progress& progress) {
  Packed packed(std::move(tuned));
  ThreadPool pool(options.threads);
  progress.stage("weights", static_cast<int64_t>(packed.report.weight_bytes), "B");
  const auto write = [&](const DraftWeight& weight, bool allow_non_finite) {
    return write_weight(weight, writer, pool, allow_non_finite, [&](int64_t bytes) { progress.advance(bytes); });
  };
  for (const DraftWeight& weight : packed.draft.weights) {
    packed.planes.push_back(write(weight, options.allow_non_finite));
  }
  // Masks among the constants are infinite where nothing may be seen.
  for (const DraftWeight& constant : packed.draft.constants) packed.constants.push_back(write(constant, true).at(0));
  progress.finish();
  return packed;
}

CompileReport finish_engine(Packed packed, const CompileOptions& options, const Target& target, EngineWriter& writer) {
  const auto add_text = [&](SectionKind kind, std::string_view text) {
    writer.add_section(kind, std::as_bytes(std::span(text.data(), text.size())));
  };
  const Model& model = packed.model;
  writer.add_section(SectionKind::plan, write_plan(packed, options.precision));
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
