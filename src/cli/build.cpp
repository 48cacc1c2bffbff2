// incipit build: a model directory, or a bare geometry, becomes an engine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/measure.h"
#include "cli/options.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "engine/format.h"
#include "engine/plan_items.h"
#include "import/import.h"
#include "text/utf8.h"

namespace incipit::cli {
namespace {

struct BuildOptions {
  std::filesystem::path model, tokenizer, output, tuning_cache;
  std::string geometry, memory = "0";
  uint64_t seed = 0;
  CompileOptions to_compile;
  bool no_tune = false, no_baseline = false;
};

void check_output(const std::filesystem::path& output) {
  if (output.empty()) throw Error("--output", "the name is empty", "give the name of the engine file with -o");
  std::error_code hidden;  // a place that may not be looked into is refused by the writing of the file
  if (std::filesystem::is_directory(output, hidden)) {
    throw Error(output.string(), "is a directory", "give the name of the engine file with -o");
  }
  const std::filesystem::path parent = output.parent_path();
  if (!parent.empty() && !std::filesystem::is_directory(parent, hidden)) {
    throw Error(parent.string(), "is no directory", "create it, or choose another place with -o");
  }
  if (std::filesystem::exists(output, hidden) && !std::filesystem::is_regular_file(output, hidden)) {
    throw Error(output.string(), "is no regular file", "choose another name with -o");
  }
  std::string beginning(engine_magic.size(), '\0');
  std::ifstream existing(output, std::ios::binary);
  existing.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  if (existing.gcount() > 0 && !std::ranges::equal(beginning, engine_magic)) {
    throw Error(output.string(), "exists and is no engine", "choose another name with -o, or remove it first");
  }
}

/// The largest prompt of each bucket, from 16 tokens on; at most four of them.
std::vector<int32_t> baseline_prompts(const Engine& engine) {
  const auto context = static_cast<int32_t>(engine.plan().max_context());
  std::vector<int32_t> prompts;
  for (const plan::Bucket* bucket : items(engine.plan().buckets())) {
    const int32_t tokens = std::min(static_cast<int32_t>(bucket->tokens()), context);
    if (tokens >= 16 && (prompts.empty() || tokens > prompts.back())) prompts.push_back(tokens);
  }
  if (prompts.empty()) prompts.push_back(context);
  while (prompts.size() > 4) prompts.erase(prompts.begin() + 1);
  return prompts;
}

/// A build's memory stays below a quarter of the engine and 1 GB, on machines of any size. Running an engine maps all
/// of it and takes some for a sequence, which fits in there up to about this many bytes.
constexpr uint64_t largest_measured = 1'000'000'000;

struct Baseline {
  std::unique_ptr<Session> session;  // null: nothing is measured
  std::vector<Measurement> results;
};

/// The first baseline: what this engine does on this machine, alone. Not where its kernels cannot run.
Baseline measure_baseline(const BuildOptions& options, const CompileReport& report, Progress& progress) {
  if (!cpu_features().includes(target_features(options.to_compile.target))) return {};
  if (report.engine_bytes > largest_measured) {
    spdlog::info("{} is not measured, to build it in little memory; incipit bench does", options.output.string());
    return {};
  }
  auto session = open_session(options.output, "cpu", options.to_compile.threads, SessionUse::measure);
  if (session->executor().engine().body_digest() != report.body_digest) {
    throw Error(options.output.string(), "was replaced by another build before this one could measure its own engine",
                "give every build an output of its own");
  }
  MeasureOptions measured;
  measured.prompts = baseline_prompts(session->executor().engine());
  measured.decode = session->executor().engine().plan().max_context() > 1 ? 16 : 0;
  measured.repeat = 3;
  measured.seconds = 2;
  std::vector<Measurement> results = measure(*session, measured, progress);
  return {std::move(session), std::move(results)};
}

/// What is not what most builds make is told, and how much of it no kernel computes.
void print_plain_graph(const BuildOptions& options, const CompileReport& report) {
  print(fmt::format("{}: no decoder, but a plain graph for run-graph ({}); {} of its {} operations run on kernels\n",
                    options.output.string(), report.plain, report.launches, report.steps));
}

int build(const BuildOptions& options) {
  check_output(options.output);
  const auto start = std::chrono::steady_clock::now();
  Progress progress = Progress::for_long_work();
  progress.stage("reading the model", 0);
  Model model = options.geometry.empty()
                    ? import_from(options.model, options.tokenizer,
                                  {options.to_compile.max_context, options.to_compile.allow_non_finite})
                    : import_geometry(options.geometry, options.seed);
  progress.finish();
  CompileOptions compiled = options.to_compile;
  compiled.memory = parse_size(options.memory, "--memory");
  compiled.tuning_cache = options.tuning_cache;
  compiled.tune = !options.no_tune;
  if (valid_utf8_prefix(compiled.version_tag) != compiled.version_tag.size()) {
    throw Error("--tag", "is not UTF-8, as the manifest must be", "give other characters");
  }
  const CompileReport report = compile(std::move(model), compiled, options.output, progress);
  if (!report.plain.empty()) print_plain_graph(options, report);
  Baseline baseline;
  if (!options.no_baseline && report.plain.empty()) baseline = measure_baseline(options, report, progress);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::string line = fmt::format("{}: {}, {:.1f} M parameters in {}, {} of {} kernels measured, built in {}",
                                 options.output.string(), readable_bytes(static_cast<double>(report.engine_bytes)),
                                 static_cast<double>(report.parameters) / 1e6, compiled.precision,
                                 report.measured_problems, report.tuned_problems, readable_seconds(seconds));
  for (const Measurement& result : baseline.results) {
    if (result.kind == "ttft") line += fmt::format("; first token of {} in {:.1f} ms", result.tokens, result.ms_median);
  }
  print(line + "\n");
  if (baseline.session) keep_baseline(*baseline.session, baseline.results);
  return 0;
}

}  // namespace

void add_build(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("build", "Compile a model into an engine for one kind of processor");
  const auto options = std::make_shared<BuildOptions>();
  command->add_option("MODEL", options->model,
                      "A Hugging Face model's directory (config.json, safetensors, tokenizer.json), or an ONNX file");
  command->add_option("--tokenizer", options->tokenizer,
                      "Where an ONNX model's config.json and tokenizer.json are (default: beside it)");
  command->add_option("-o,--output", options->output, "The engine file")->required();
  command->add_option("--precision", options->to_compile.precision, "How weights are stored and products computed")
      ->check(CLI::IsMember({"f32", "bf16", "fp16", "int8"}))
      ->capture_default_str();
  command->add_option("--target", options->to_compile.target, "The processor the engine is for")
      ->check(CLI::IsMember({"native", "cpu-amx", "cpu-avx512", "cpu-avx-vnni", "cpu-avx2", "cpu-generic"}))
      ->capture_default_str();
  command
      ->add_option("--max-context", options->to_compile.max_context,
                   "Tokens of the longest sequence (default: what the model was trained for)")
      ->check(CLI::Range(1, std::numeric_limits<int>::max(), "POSITIVE"));
  command->add_option("--max-batch", options->to_compile.max_batch, "Sequences at once")
      ->check(CLI::Range(1, std::numeric_limits<int>::max(), "POSITIVE"))
      ->capture_default_str();
  command->add_option("--memory", options->memory, "Most memory at run time, such as 1500M or 2G (default: no bound)");
  command
      ->add_option("--without", options->to_compile.without,
                   "A pass to leave out (see: incipit inspect MODEL --passes)")
      ->allow_extra_args(false);
  command->add_option("--tuning-cache", options->tuning_cache, "Measurements to reuse, and to extend");
  command->add_flag("--deterministic", options->to_compile.deterministic,
                    "The same text whatever else runs beside it: one kernel a step, which may cost some speed");
  command->add_flag("--allow-non-finite", options->to_compile.allow_non_finite,
                    "Take weights that are NaN or infinite, which are refused otherwise");
  command->add_flag("--no-tune", options->no_tune, "Measure nothing: take the first kernel that fits");
  command
      ->add_option("--threads", options->to_compile.threads, "Threads for measuring and packing (default: all cores)")
      ->check(CLI::Range(0, 1024));
  command->add_option("--tag", options->to_compile.version_tag, "A text for the engine's manifest");
  CLI::Option* geometry =
      command->add_option("--geometry", options->geometry, "Random weights of a known geometry instead of a model");
  command->add_option("--seed", options->seed, "Of the random weights")->needs(geometry)->capture_default_str();
  command->add_flag("--no-baseline", options->no_baseline,
                    "Do not measure the finished engine (one above 1 GB never is)");
  command->callback([options, &action] {
    if (options->model.empty() == options->geometry.empty()) {
      throw CLI::ValidationError("MODEL", "give a model or --geometry, and not both");
    }
    action = [options] { return build(*options); };
  });
}

}  // namespace incipit::cli
