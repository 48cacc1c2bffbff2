// incipit bench: times of an engine, as multiples of what this machine can do at best.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/readable.h"
#include "base/version.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/golden.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "measure/limits.h"
#include "measure/measure.h"
#include "measure/step_groups.h"
#include "measure/trace.h"

namespace incipit::cli {
namespace {

struct BenchOptions {
  std::filesystem::path engine;
  std::optional<std::string> prompts, trace;
  int32_t cached = 0, pause = 0, decode = 64, decode_context = 0, decode_batch = 1, repeat = 7;
  int threads = 0;
  bool json = false, no_save = false, steps = false;
};

struct Profile {
  std::string phase;  // a Measurement's kind
  int32_t tokens = 0;
  std::vector<StepGroup> groups;
};

const Measurement* longest_prompt(const std::vector<Measurement>& results) {
  const Measurement* longest = nullptr;
  for (const Measurement& result : results) {
    if (result.kind == "ttft" && (longest == nullptr || result.tokens > longest->tokens)) longest = &result;
  }
  return longest;
}

/// Where the time of the longest prompt and of a decoded token goes. Timed step by step, which costs a little itself.
std::vector<Profile> profile_steps(Gateway& gateway, const std::vector<Measurement>& results,
                                   const MachineCeilings& ceilings) {
  const plan::Plan& plan = gateway.engine().plan();
  std::vector<Profile> profiles;
  if (const Measurement* longest = longest_prompt(results)) {
    constexpr int32_t runs = 3;
    trace_passes(gateway, longest->tokens, 0);
    std::vector<TracedPass> passes;
    for (int32_t i = 0; i < runs; ++i)
      std::ranges::move(trace_passes(gateway, longest->tokens, 0), std::back_inserter(passes));
    profiles.push_back({longest->kind, longest->tokens, group_steps(passes, plan, ceilings, runs)});
  }
  for (const Measurement& result : results) {
    if (result.kind != "decode") continue;
    const auto sequences = static_cast<int32_t>(result.shape.sequences);
    trace_decoding(gateway, result.context, 1, sequences);
    const std::vector<TracedPass> passes = trace_decoding(gateway, result.context, result.tokens, sequences);
    profiles.push_back(
        {result.kind, result.tokens, group_steps(passes, plan, ceilings, static_cast<int32_t>(passes.size()))});
  }
  return profiles;
}

/// The longest prompt and some tokens after it, as they ran once everything was warm.
void write_trace(AtomicFile& file, Gateway& gateway, const BenchOptions& options,
                 const std::vector<Measurement>& results, const MachineCeilings& ceilings) {
  constexpr int32_t most_decoded = 8;
  const int32_t prompt = longest_prompt(results)->tokens;
  const int32_t decode = std::min({most_decoded, options.decode, gateway.limits().max_context - prompt});
  trace_passes(gateway, prompt, decode);
  const std::vector<TracedPass> passes = trace_passes(gateway, prompt, decode);
  file.write(boost::json::serialize(trace_of(passes, gateway.engine().plan(), ceilings)));
  file.commit();
}

boost::json::object to_json(const Ceilings& ceilings) {
  return {{"f32_gops", ceilings.f32 / 1e9},
          {"bf16_gops", ceilings.bf16 / 1e9},
          {"int8_gops", ceilings.i8 / 1e9},
          {"memory_gb_per_s", ceilings.bandwidth / 1e9}};
}

boost::json::object to_json(const MachineCeilings& ceilings) {
  if (!ceilings.gpu.empty()) return {{"gpu", ceilings.gpu}, {"whole_gpu", to_json(ceilings.all_threads)}};
  return {{"threads", ceilings.threads},
          {"all_threads", to_json(ceilings.all_threads)},
          {"one_core", to_json(ceilings.one_core)},
          {"working_set_bytes", ceilings.working_set_bytes},
          {"working_set_gb_per_s", ceilings.working_set_bandwidth / 1e9}};
}

boost::json::array to_json(const std::vector<Profile>& profiles) {
  boost::json::array array;
  for (const Profile& profile : profiles) {
    for (const StepGroup& group : profile.groups) {
      boost::json::object step{{"phase", profile.phase},   {"tokens", profile.tokens},  {"kind", group.kind},
                               {"problem", group.problem}, {"kernel", group.kernel},    {"count", group.count},
                               {"ms", group.ms},           {"limit_ms", group.limit_ms}};
      if (group.limit_ms > 0) step["multiple"] = group.ms / group.limit_ms;
      array.push_back(std::move(step));
    }
  }
  return array;
}

void print_gpu_ceilings(const MachineCeilings& ceilings) {
  const Ceilings& whole = ceilings.all_threads;
  print(fmt::format("ceilings of this {}, measured now by the engine's products\n ", ceilings.gpu));
  for (const auto& [name, rate] : {std::pair("f32", whole.f32), {"bf16", whole.bf16}, {"int8", whole.i8}}) {
    print(fmt::format(" {} {:>7} Top/s  ", name, rate > 0 ? fmt::format("{:.1f}", rate / 1e12) : "-"));
  }
  print(fmt::format(" memory {:.0f} GB/s\n", whole.bandwidth / 1e9));
}

void print_ceilings(const MachineCeilings& ceilings) {
  if (!ceilings.gpu.empty()) return print_gpu_ceilings(ceilings);
  const auto line = [](std::string_view name, const Ceilings& one) {
    print(fmt::format("  {:<12} f32 {:8.1f}   bf16 {:8.1f}   int8 {:8.1f} Gop/s   memory {:6.1f} GB/s\n", name,
                      one.f32 / 1e9, one.bf16 / 1e9, one.i8 / 1e9, one.bandwidth / 1e9));
  };
  print("ceilings of this machine, measured now\n");
  line(fmt::format("{} threads", ceilings.threads), ceilings.all_threads);
  line("one core", ceilings.one_core);
  print(fmt::format("  {:.1f} GB/s over the {} of weights that a token reads\n", ceilings.working_set_bandwidth / 1e9,
                    readable_bytes(static_cast<double>(ceilings.working_set_bytes))));
}

void print_profiles(const std::vector<Profile>& profiles) {
  for (const Profile& profile : profiles) {
    double total = 0;
    for (const StepGroup& group : profile.groups) total += group.ms;
    print(fmt::format("\nsteps of {} {}: {:.3f} ms\n", profile.phase, profile.tokens, total));
    print(
        fmt::format("  {:>9} {:>6} {:>9} {:>8}  {:>5}  {}\n", "ms", "share", "limit ms", "multiple", "steps", "kind"));
    for (const StepGroup& group : profile.groups) {
      const std::string multiple = group.limit_ms > 0 ? fmt::format("{:.2f}", group.ms / group.limit_ms) : "-";
      print(fmt::format("  {:9.3f} {:5.1f}% {:9.3f} {:>8}  {:5}  {}  {}  [{}]\n", group.ms, 100 * group.ms / total,
                        group.limit_ms, multiple, group.count, group.kind, group.problem, group.kernel));
    }
  }
}

std::string name_of(const Measurement& result, const BenchOptions& options) {
  std::string name = fmt::format("{} {}", result.kind, result.tokens);
  if (result.kind == "ttft" && result.context > 0) name += fmt::format(", {} cached", result.context);
  if (result.kind == "decode" && options.decode_context > 0) name += fmt::format(" after {}", result.context);
  if (result.shape.sequences > 1) name += fmt::format(", {} at once", result.shape.sequences);
  return name;
}

int bench(const BenchOptions& options) {
  auto gateway = open_gateway(options.engine, options.threads, GatewayUse::measure);
  MeasureOptions measured;
  measured.decode = options.decode;
  measured.decode_context = options.decode_context;
  measured.decode_batch = options.decode_batch;
  measured.cached = options.cached;
  measured.repeat = options.repeat;
  measured.pause = std::chrono::milliseconds(options.pause);
  if (options.prompts) {
    measured.prompts = parse_integers(*options.prompts, "--prompt", 1);
  } else {
    for (const int32_t tokens : {128, 512, 1024}) {
      if (tokens <= gateway->limits().max_context) measured.prompts.push_back(tokens);
    }
    if (measured.prompts.empty()) measured.prompts.push_back(gateway->limits().max_context);
  }
  check_measurable(*gateway, measured);
  std::optional<AtomicFile> trace;
  if (options.trace) {
    check_output({*options.trace, "--trace", "trace of incipit's",
                  [](std::string_view beginning) { return beginning.starts_with(trace_beginning); }},
                 {options.engine});
    trace.emplace(*options.trace);  // which fails before anything is measured
  }
  Progress progress = Progress::for_long_work();
  wait_for_memory(*gateway, progress);  // beside which the ceilings would be lower
  // On both sides of what they judge: the machine may be slower for a while.
  MachineCeilings ceilings = measure_machine(gateway->engine(), options.threads, progress);
  const std::vector<Measurement> results = measure(*gateway, measured, progress);
  ceilings.measure_again(progress);
  std::optional<GoldenLogits> golden;  // where a build left them to whoever has the machine and the memory for it
  if (!options.no_save && !golden_of(gateway->engine())) golden = record_golden(*gateway);
  std::vector<Profile> profiles;
  if (options.steps || trace) {
    progress.stage("timing steps", 0);
    const auto measured_engine = gateway->engine().body_digest();
    gateway.reset();  // the memory may not hold the pages of two
    gateway = open_gateway(options.engine, options.threads, GatewayUse::profile);
    if (gateway->engine().body_digest() != measured_engine) {
      throw Error(options.engine.string(), "another engine was written here while this one was measured",
                  "run again when builds are done");
    }
    if (options.steps) profiles = profile_steps(*gateway, results, ceilings);
    if (trace) write_trace(*trace, *gateway, options, results, ceilings);
    progress.finish();
  }
  const plan::Plan& plan = gateway->engine().plan();
  boost::json::array table = to_json(results);
  std::string wrong;
  if (!options.json) print_ceilings(ceilings);
  for (size_t i = 0; i < results.size(); ++i) {
    const double limit = limit_of_pass(plan, results[i].shape, ceilings);
    const double multiple = results[i].ms_median / limit;
    table[i].as_object()["limit_ms"] = limit;
    table[i].as_object()["multiple"] = multiple;
    const std::string name = name_of(results[i], options);
    if (multiple < 1) wrong += (wrong.empty() ? "" : ", ") + fmt::format("{} ({:.3f})", name, multiple);
    if (options.json) continue;
    print(fmt::format("{:<12} {:9.3f} ms{}   limit {:9.3f} ms   multiple {:6.2f}   ({} runs)\n", name,
                      results[i].ms_median, results[i].kind == "decode" ? "/token" : "      ", limit, multiple,
                      results[i].runs));
  }
  if (options.json) {
    print_json({{"version", version()},
                {"machine", machine_of(gateway->engine())},
                {"engine", options.engine.string()},
                {"ceilings", to_json(ceilings)},
                {"results", table},
                {"steps", to_json(profiles)}});
  } else {
    print_profiles(profiles);
  }
  if (!options.no_save) {
    if (golden) keep_golden(gateway->engine(), *golden);
    keep_baseline(*gateway, results);
  }
  if (wrong.empty()) return 0;
  throw Error("bench", "faster than the limit: " + wrong + "; the limit is WRONG",
              "do not quote these numbers; run again on a quiet machine, and report it if it stays");
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure the time to the first token and of each after it, against the machine's limit");
  const auto options = std::make_shared<BenchOptions>();
  add_input(*command, "ENGINE", options->engine, "An engine file")->required();
  add_text(*command, "--prompt", options->prompts, "Prompt lengths, such as 128,512,1024");
  command->add_option("--pause", options->pause, "Milliseconds without work before each prompt")
      ->transform(integer_from(0))
      ->capture_default_str();
  command->add_option("--decode", options->decode, "Tokens to decode; 0: none")
      ->transform(integer_from(0))
      ->capture_default_str();
  command->add_option("--cached", options->cached, "Longer prompts also behind as many tokens in the prefix cache")
      ->transform(integer_from(1));
  command->add_option("--decode-context", options->decode_context, "Tokens before the decoded ones (default: 128)")
      ->transform(integer_from(1));
  command->add_option("--decode-batch", options->decode_batch, "Sequences that decode at once")
      ->transform(integer_from(1))
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Most repetitions of each")
      ->transform(integer_from(1))
      ->capture_default_str();
  add_threads(*command, options->threads);
  command->add_flag("--steps", options->steps,
                    "Where the time goes, by kind of step: of the longest prompt, and of a token");
  add_text(*command, "--trace", options->trace,
           "Write the longest prompt and some decoded tokens, step by step, as a JSON trace for Perfetto; an earlier "
           "trace is replaced");
  command->add_flag("--json", options->json, "One JSON object");
  command->add_flag("--no-save", options->no_save, "Append no baseline to the engine");
  command->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace incipit::cli
