// incipit build: a model directory, or a bare geometry, becomes an engine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/readable.h"
#include "base/target.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/calibrate.h"
#include "cli/certify.h"
#include "cli/commands.h"
#include "cli/golden.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/replaced_file.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "engine/format.h"
#include "engine/plan_items.h"
#include "import/import.h"
#include "jinja/jinja_template.h"
#include "kernels/family_list.h"
#include "measure/measure.h"
#include "measure/step_costs_keeper.h"
#include "quant/format.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit::cli {
namespace {

struct BuildOptions {
  std::filesystem::path model, tokenizer, output;
  std::optional<std::string> tuning_cache;
  std::string geometry, memory = "0";
  std::vector<std::string> keep;
  std::string kv_cache = "auto", accuracy;
  std::filesystem::path certify, calibrate;
  Rounding rounding = Rounding::best;
  uint64_t seed = 0;
  CompileOptions to_compile;
  bool no_tune = false, no_baseline = false, no_golden = false, step_costs = false;
};

/// "layers.0.*=bf16".
KeptFormat parse_kept_format(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error("--keep '" + text + "'", "is no name of products with a precision", "give one as in 'layers.0.*=bf16'");
  }
  KeptFormat kept{text.substr(0, equals), text.substr(equals + 1)};
  check_utf8(kept.pattern, "--keep");  // the manifest is JSON
  weight_format(kept.precision);
  return kept;
}

/// Of --kv-cache.
constexpr std::array<std::pair<std::string_view, DType>, 3> caches{
    {{"int8", DType::i8}, {"bf16", DType::bf16}, {"f32", DType::f32}}};
std::vector<std::string> cache_choices() {
  std::vector<std::string> names{"auto"};
  for (const auto& [name, dtype] : caches) names.emplace_back(name);
  return names;
}

bool is_engine(std::string_view beginning) {
  return beginning.starts_with(std::string_view(engine_magic.data(), engine_magic.size()));
}

void check_files(const BuildOptions& options) {
  if (options.model.empty() && options.geometry.empty()) {
    throw Error("MODEL", "the name is empty", "name a model's directory, or an ONNX file");
  }
  if (is_engine(beginning_of(options.model))) {
    throw Error(options.model.string(), "is an engine already", "give the model that it was built from");
  }
  check_output(
      {options.output, "--output", "engine", is_engine},
      {options.model, options.tokenizer, options.tuning_cache.value_or(""), options.certify, options.calibrate});
  if (options.tuning_cache) {
    check_output({*options.tuning_cache, "--tuning-cache", "tuning cache"}, {options.model, options.tokenizer});
  }
}

/// Those of the named targets that there are kernels for.
std::vector<std::string> target_choices() {
  std::vector<std::string> names{"native"};
  for (const NamedTarget& named : named_targets()) {
    if (!has_kernels(named.target)) continue;
    if (named.target.backend == Backend::cuda && std::ranges::find(names, "cuda") == names.end()) {
      names.emplace_back("cuda");
    }
    names.emplace_back(named.name);
  }
  return names;
}

/// Kernels that this machine does not have cannot be measured: what they are chosen by instead is told.
void warn_of_foreign_target(const BuildOptions& options) {
  const std::string& target = options.to_compile.target;
  if (options.no_tune || runs_here(named_target(target))) return;
  log_warning(
      "--target {}: this machine is none, so kernels are not measured: the first that fits is taken where the tuning "
      "cache knows none; for the fastest, build on such a machine, or give a --tuning-cache from one",
      target);
}

/// Every command that holds conversations would refuse the engine of a template that cannot be read.
void check_template(const Model& model) {
  if (model.chat_template.empty()) return;
  try {
    const JinjaTemplate readable(model.chat_template, model.name + ": chat template");
  } catch (const Error& error) {
    throw Error(error.thing(), error.fault(), "mend it, or remove it: the engine holds no conversations then");
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

/// A gateway for what is measured of the finished engine, alone, on this machine; null where its kernels cannot run,
/// and where that would take much memory.
std::unique_ptr<Gateway> open_finished(const BuildOptions& options, const CompileReport& report) {
  const std::string output = options.output.string();
  if (!report.plain.empty() || (options.no_golden && options.no_baseline)) return nullptr;
  if (!runs_here(named_target(options.to_compile.target))) {
    log_info("{} has no golden logits, as it is not for this machine; incipit bench records them on one that it is for",
             output);
    return nullptr;
  }
  if (report.engine_bytes > largest_measured) {
    log_info("{} is not measured, to build it in little memory; incipit bench does", output);
    return nullptr;
  }
  auto gateway = open_gateway(options.output, options.to_compile.threads, GatewayUse::measure);
  if (gateway->engine().body_digest() != report.body_digest) {
    throw Error(output, "was replaced by another build before this one could measure its own engine",
                "give every build an output of its own");
  }
  return gateway;
}

/// What the engine computes of a fixed text, held against the model where that is quick. An engine that is not what the
/// model is goes, and what it replaced comes back.
std::optional<GoldenLogits> golden_logits(const ReplacedFile& replaced, Gateway& gateway,
                                          const std::function<Model()>& make_model) {
  GoldenLogits golden;
  try {
    golden = record_golden(gateway);
  } catch (const Error& error) {
    check_interrupt();
    log_warning("{}", error.what());
    return std::nullopt;
  }
  try {
    hold_against_reference(golden, gateway.engine(), make_model);
  } catch (const Error&) {
    replaced.put_back();
    throw;
  }
  return golden;
}

/// The first baseline: what this engine does on this machine, alone. Not where its kernels are emulated.
std::vector<Measurement> measure_baseline(const BuildOptions& options, Gateway& gateway, Progress& progress) {
  if (options.no_baseline || gateway.engine().target().backend == Backend::shadow) return {};
  MeasureOptions measured;
  measured.prompts = baseline_prompts(gateway.engine());
  measured.decode = gateway.engine().plan().max_context() > 1 ? 16 : 0;
  measured.repeat = 3;
  measured.seconds = 2;
  return measure(gateway, measured, progress);
}

/// What the first server would measure; engines that are large too.
void measure_step_costs(const BuildOptions& options, bool is_decoder, std::unique_ptr<Gateway> gateway,
                        Progress& progress) {
  const Target target = named_target(options.to_compile.target);
  if (!is_decoder || !runs_here(target) || target.backend == Backend::shadow) {
    log_warning("{}: its steps are not measured: {}", options.output.string(),
                is_decoder ? "it is not for this machine" : "it is no decoder");
    return;
  }
  if (!gateway) gateway = open_gateway(options.output, options.to_compile.threads, GatewayUse::measure);
  StepCostsKeeper keeper(*gateway);
  progress.stage("measuring steps", 0);
  while (!keeper.complete()) {
    check_interrupt();
    keeper.measure_step();
    progress.advance(0);
  }
  progress.finish();
}

/// What is not what most builds make is told, and how much of it no kernel computes.
std::string plain_graph_line(const BuildOptions& options, const CompileReport& report) {
  return fmt::format("{}: no decoder, but a plain graph for run-graph ({}); {} of its {} operations run on kernels\n",
                     options.output.string(), report.plain, report.launches, report.steps);
}

/// The engine is there, whatever becomes of the lines that say so.
void print_result(const BuildOptions& options, std::string_view lines) {
  try {
    print(lines);
  } catch (const ReaderGone&) {
    throw;
  } catch (const Error& error) {
    throw Error(error.thing(), error.fault(),
                fmt::format("but {} is complete; check where its summary goes", options.output.string()));
  }
}

/// What an engine is held against before it gets its name; what can be wrong with it is told before anything is built.
std::optional<CertifyOptions> certify_options(const BuildOptions& options) {
  if (options.accuracy.empty()) return std::nullopt;
  CertifyOptions certified;
  certified.bound = AccuracyBound::parse(options.accuracy);
  if (!runs_here(named_target(options.to_compile.target))) {
    throw Error("--accuracy",
                fmt::format("this machine is no {}, and cannot run the engine", options.to_compile.target),
                "build on such a machine");
  }
  certified.path = options.certify;
  certified.text = read_utf8_text(options.certify);
  return certified;
}

/// Compiles, and certifies where that is wanted.
CompileReport compile_engine(const BuildOptions& options, const std::function<Model()>& make_model,
                             const CompileOptions& compiled, Progress& progress) {
  const std::optional<CertifyOptions> certified = certify_options(options);
  Model model = make_model();
  check_template(model);
  if (!certified) return compile(std::move(model), compiled, options.output, progress);
  if (!has_tokenizer(model.directory)) {
    throw Error("--accuracy", "the model has no tokenizer, and cannot be held against a text",
                "give one with --tokenizer, or leave it out");
  }
  const FolderBeside folder(options.output);
  const std::filesystem::path engine = folder / "engine";
  CompileReport report = compile(std::move(model), compiled, engine, progress);
  if (!report.plain.empty()) {
    throw Error("--accuracy", "the model is no decoder, and has no perplexity", "leave it out");
  }
  certify(engine, options.output, folder, make_model, compiled, *certified, progress);
  folder.publish(engine);
  return report;
}

int build(const BuildOptions& options) {
  check_files(options);
  CompileOptions compiled = options.to_compile;
  compiled.memory = parse_size(options.memory, "--memory");
  compiled.tuning_cache = options.tuning_cache.value_or("");
  compiled.tune = !options.no_tune;
  for (const std::string& kept : options.keep) compiled.kept.push_back(parse_kept_format(kept));
  for (const auto& [name, dtype] : caches) {
    if (name == options.kv_cache) compiled.cache = dtype;
  }
  check_utf8(compiled.version_tag, "--tag");  // the manifest is JSON
  warn_of_foreign_target(options);
  const auto start = std::chrono::steady_clock::now();
  Progress progress = Progress::for_long_work();
  const auto make_model = [&] {
    progress.stage("reading the model", 0);
    Model model = options.geometry.empty()
                      ? import_from(options.model, options.tokenizer,
                                    {options.to_compile.max_context, options.to_compile.allow_non_finite})
                      : import_geometry(options.geometry, options.seed);
    progress.finish();
    return model;
  };
  const ReplacedFile replaced(options.output);
  std::string calibrated;
  if (!options.calibrate.empty()) {
    calibrated = calibrate_build({options.calibrate, options.output, options.rounding}, make_model, compiled, progress);
  }
  const CompileReport report = compile_engine(options, make_model, compiled, progress);
  std::unique_ptr<Gateway> gateway = open_finished(options, report);
  std::optional<GoldenLogits> golden;
  std::vector<Measurement> baseline;
  if (gateway) {
    if (!options.no_golden) golden = golden_logits(replaced, *gateway, make_model);
    baseline = measure_baseline(options, *gateway, progress);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::string lines = report.plain.empty() ? "" : plain_graph_line(options, report);
  lines += fmt::format("{}: {}, {:.1f} M parameters in {}, {}, {} of {} kernels measured, built in {}",
                       options.output.string(), readable_bytes(static_cast<double>(report.engine_bytes)),
                       static_cast<double>(report.parameters) / 1e6, compiled.precision,
                       options.accuracy.empty() ? "not certified" : "certified, " + options.accuracy,
                       report.measured_problems, report.tuned_problems, readable_seconds(seconds));
  if (!calibrated.empty()) lines += "; calibrated: " + calibrated;
  for (const Measurement& result : baseline) {
    if (result.kind == "ttft")
      lines += fmt::format("; first token of {} in {:.1f} ms", result.tokens, result.ms_median);
  }
  std::exception_ptr not_kept;  // told behind what was measured
  try {
    if (golden) keep_golden(gateway->engine(), *golden);
    if (!baseline.empty()) keep_baseline(*gateway, baseline);
  } catch (const Error&) {
    not_kept = std::current_exception();
  }
  if (options.step_costs) measure_step_costs(options, report.plain.empty(), std::move(gateway), progress);
  print_result(options, lines + "\n");
  if (not_kept) std::rethrow_exception(not_kept);
  return 0;
}

}  // namespace

void add_build(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("build", "Compile a model into an engine for one kind of processor or GPU");
  const auto options = std::make_shared<BuildOptions>();
  CLI::Option* model =
      add_input(*command, "MODEL", options->model,
                "A Hugging Face model's directory (config.json, safetensors, tokenizer.json), or an ONNX file");
  add_input(*command, "--tokenizer", options->tokenizer,
            "Where an ONNX model's config.json and tokenizer.json are (default: beside it)");
  command->add_option("-o,--output", options->output, "The engine file")->required();
  command->add_option("--precision", options->to_compile.precision, "How weights are stored and products computed")
      ->check(CLI::IsMember(weight_format_names()))
      ->capture_default_str();
  command
      ->add_option("--keep", options->keep,
                   "Products of another precision, as in 'layers.0.*=bf16': names of weights, or what stands behind a "
                   "dot in them, with * for anything; the last that fits holds (in int4 the head and what makes "
                   "queries, keys and values are int8)")
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  command
      ->add_option("--kv-cache", options->kv_cache,
                   "How keys and values are kept; int8: codes with a scale a token and head (auto: f32 in f32, fp16 in "
                   "fp16, else bf16)")
      ->check(CLI::IsMember(cache_choices()))
      ->capture_default_str();
  CLI::Option* accuracy = command->add_option(
      "--accuracy", options->accuracy,
      "How far the engine may be from its model in f32, as in 'perplexity<=1%': it is measured, kept in the engine "
      "(inspect --accuracy), and where it does not hold there is no engine");
  add_input(*command, "--certify", options->certify, "The text for --accuracy")->needs(accuracy);
  accuracy->needs(command->get_option("--certify"));
  CLI::Option* calibrate = add_input(
      *command, "--calibrate", options->calibrate,
      "A text on which codes of four bits are fitted to what products read; every tenth part of it is held out, and "
      "what is the closest to the model there is built");
  command
      ->add_option("--rounding", options->rounding,
                   "How --calibrate chooses codes: nearest, or each making up for the errors of those before it")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Rounding>{
          {"best", Rounding::best}, {"nearest", Rounding::nearest}, {"gptq", Rounding::compensated}}))
      ->needs(calibrate);
  command
      ->add_option("--target", options->to_compile.target,
                   "The processor or GPU the engine is for; cuda: the GPU of this machine")
      ->check(CLI::IsMember(target_choices()))
      ->capture_default_str();
  command
      ->add_option("--max-context", options->to_compile.max_context,
                   "Tokens of the longest sequence (default: what the model was trained for)")
      ->transform(integer_from(1));
  command->add_option("--max-batch", options->to_compile.max_batch, "Sequences at once")
      ->transform(integer_in(1, largest_batch))
      ->capture_default_str();
  command->add_option("--memory", options->memory,
                      "Most memory at run time, such as 1500M or 2G (default and 0: no bound)");
  command
      ->add_option("--without", options->to_compile.without,
                   "A pass to leave out (see: incipit inspect MODEL --passes)")
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  add_text(*command, "--tuning-cache", options->tuning_cache, "Measurements to reuse, and to extend");
  command->add_flag("--deterministic", options->to_compile.deterministic,
                    "The same text whatever else runs beside it: one kernel a step, which may cost some speed");
  command->add_flag("--allow-non-finite", options->to_compile.allow_non_finite,
                    "Take weights that are NaN or infinite, which are refused otherwise");
  command->add_flag("--no-tune", options->no_tune, "Measure nothing: take the first kernel that fits");
  add_threads(*command, options->to_compile.threads, "Threads for measuring and packing (default: all cores)");
  command->add_option("--tag", options->to_compile.version_tag, "A text for the engine's manifest");
  CLI::Option* geometry =
      command->add_option("--geometry", options->geometry, "Random weights of a known geometry instead of a model");
  command->add_option("--seed", options->seed, "Of the random weights")
      ->transform(integer_in<uint64_t>(0, UINT64_MAX))
      ->needs(geometry)
      ->capture_default_str();
  command->add_flag("--no-golden", options->no_golden,
                    "Do not record golden logits, by which others see whether the engine still computes what it did");
  command->add_flag("--no-baseline", options->no_baseline,
                    "Do not measure the finished engine (one above 1 GB never is)");
  command->add_flag("--step-costs", options->step_costs,
                    "Measure what steps take, too, which the first serve does otherwise, into ENGINE.costs");
  command->callback([options, model, &action] {
    if ((model->count() > 0) == !options->geometry.empty()) {
      throw CLI::ValidationError("MODEL", "give a model or --geometry, and not both");
    }
    action = [options] { return build(*options); };
  });
}

}  // namespace incipit::cli
