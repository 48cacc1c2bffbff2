#include "cli/calibrate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/certify.h"
#include "cli/options.h"
#include "import/import.h"

namespace incipit::cli {
namespace {

std::string line_of(const CalibrationFound& found) {
  std::string line = found.chosen().name + " (";
  for (const CalibrationChoice& choice : found.choices) {
    line += fmt::format("{}: KL {:.4f}, perplexity {:+.2f} %; ", choice.name, choice.held_out.mean_kl,
                        choice.held_out.change() * 100);
  }
  return line +
         fmt::format("on {} tokens held out of {})", found.held_out_tokens, found.held_out_tokens + found.seen_tokens);
}

}  // namespace

std::string calibrate_build(const CalibratedBuild& build, const std::function<Model()>& make_model,
                            CompileOptions& compiled, Progress& progress) {
  const std::string text = read_utf8_text(build.text);
  if (!has_tokenizer(make_model().directory)) {
    throw Error("--calibrate", "the model has no tokenizer, and cannot read a text",
                "give one with --tokenizer, or leave it out");
  }
  const FolderBeside folder(build.output);
  const std::filesystem::path reference_path = folder / "reference";
  const CompileReport report = compile(make_model(), calibrated_reference(compiled), reference_path, progress);
  if (!report.plain.empty()) {
    throw Error("--calibrate", "the model is no decoder, and reads no text", "leave it out");
  }
  const auto reference = open_gateway(reference_path, compiled.threads, GatewayUse::evaluate);
  CalibrateOptions options;
  options.rounding = build.rounding;
  options.text_name = build.text.filename().string();
  options.folder = folder / "";
  const CalibrationFound found = of_text(build.text, [&] {
    return calibrate(*reference, tokens_of_text(text, build.text, *reference), make_model, compiled, options, progress);
  });
  compiled.calibration = found.chosen().calibration;
  return line_of(found);
}

}  // namespace incipit::cli
