// incipit inspect: what is in an engine, or what a model directory becomes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/readable.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/describe_plain_graph.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "graph/summary.h"
#include "graph/text_form.h"
#include "import/import.h"
#include "kernels/cuda/device_code.h"
#include "measure/certificate.h"
#include "measure/golden.h"
#include "passes/pass.h"
#include "quant/format.h"

namespace incipit::cli {
namespace {

struct InspectOptions {
  std::filesystem::path path;
  bool plan = false, manifest = false, trailer = false, check = false, accuracy = false;
  bool graph = false, passes = false;
  std::string after, precision = "f32";
};

std::string json_text(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  if (value == nullptr) return "unknown";
  return value->is_string() ? std::string(value->get_string()) : boost::json::serialize(*value);
}

std::string_view name_of(TrailerKind kind) {
  switch (kind) {
    case TrailerKind::baseline: return "baseline";
    case TrailerKind::accuracy: return "accuracy";
    case TrailerKind::golden: return "golden";
  }
  return "unknown";
}

void print_baseline(const boost::json::value& record) {
  const boost::json::object* baseline = record.if_object();
  if (baseline == nullptr) return;
  print(fmt::format("  {} threads on {}\n", json_text(*baseline, "threads"), json_text(*baseline, "machine")));
  const boost::json::value* results = baseline->if_contains("results");
  if (results == nullptr || !results->is_array()) return;
  for (const boost::json::value& result : results->get_array()) {
    const boost::json::object* one = result.if_object();
    if (one == nullptr) continue;
    const boost::json::value* time = one->if_contains("ms_median");
    if (time == nullptr || !time->is_number()) continue;
    const std::string context = one->contains("context") ? " after " + json_text(*one, "context") : "";
    const std::string sequences = one->contains("sequences") ? ", " + json_text(*one, "sequences") + " at once" : "";
    print(fmt::format("    {} {}{}{}: {:.3f} ms\n", json_text(*one, "kind"), json_text(*one, "tokens"), context,
                      sequences, time->to_number<double>()));
  }
}

/// Steps that run on portable code though the target has better units: no slow path hides.
void print_portable_fallbacks(const boost::json::object& manifest) {
  const boost::json::value* list = manifest.if_contains("portable_fallbacks");
  if (list == nullptr || !list->is_array()) return;
  for (const boost::json::value& value : list->get_array()) {
    if (!value.is_object()) continue;
    const boost::json::object& fallback = value.get_object();
    print(fmt::format("{:<14} {} steps on {}: {}\n", "portable", json_text(fallback, "steps"),
                      json_text(fallback, "kernel"), json_text(fallback, "problem")));
  }
}

/// How often each of a plain graph's primitives stands in it: what no kernel computes, it computes slowly.
void print_plain_graph(const plan::Plan& plan) {
  const auto line = [](std::string_view label, const std::string& value) {
    print(fmt::format("{:<14} {}\n", label, value));
  };
  const plan::PlainGraph& graph = *plan.graph();
  for (const plan::Port* port : items(graph.inputs()))
    line("input", fmt::format("{} {}", text(port->name()), type_text(*port)));
  for (const plan::Port* port : items(graph.outputs()))
    line("output", fmt::format("{} {}", text(port->name()), type_text(*port)));
  std::map<std::string_view, int> kernels, primitives;
  for (const plan::Operation* operation : items(graph.operations())) {
    if (!text(operation->op()).empty()) {
      ++primitives[text(operation->op())];
    } else {
      const auto* uses = plan.steps()->Get(operation->step())->kernels();
      ++kernels[text(uses->Get(count(uses) - 1)->kernel())];
    }
  }
  const auto list = [&](std::string_view label, const std::map<std::string_view, int>& counts) {
    int sum = 0;
    std::string each;
    for (const auto& [name, number] : counts) {
      sum += number;
      each += fmt::format("{}{} {}", each.empty() ? ": " : ", ", number, name);
    }
    line(label, fmt::format("{} operations{}", sum, each));
  };
  list("on kernels", kernels);
  list("on primitives", primitives);
}

/// What is there beside what every engine has and what has a line of its own.
void print_sections(const Engine& engine) {
  const EngineHeader& header = engine.header();
  for (const SectionEntry& entry : std::span(header.sections).first(header.section_count)) {
    if (entry.kind > static_cast<uint32_t>(SectionKind::weight_digests)) {
      print(fmt::format("{:<14} {}, {}\n", "section", section_name(entry.kind),
                        readable_bytes(static_cast<double>(entry.bytes))));
    }
  }
  if (engine.target().backend != Backend::cuda) return;
  for (const CudaBinary& binary : read_cuda_code(engine.section(SectionKind::device_code)).functions) {
    print(fmt::format("{:<14} {}, {}\n", "function", binary.function.name,
                      readable_bytes(static_cast<double>(binary.cubin.size() + binary.ptx.size()))));
  }
}

/// What of the engine can be computed again, and whether the model's own graph gave the same.
std::string golden_line(const Engine& engine) {
  const std::optional<GoldenLogits> golden = golden_of(engine);
  if (!golden) return "none";
  const std::string beside =
      golden->reference
          ? fmt::format("{:.2g} off the model's own behind {} tokens (tolerance {:.2g})", golden->reference->deviation,
                        golden->reference->tokens, golden->reference->tolerance)
          : "not held against the model: " + golden->no_reference;
  return fmt::format("{} prompts of up to {} tokens, {}", golden->prompts.size(), golden->text.size(), beside);
}

void print_summary(const Engine& engine) {
  const plan::Plan& plan = engine.plan();
  const std::string name = engine.path().string();
  const boost::json::value parsed = parse_json(engine.manifest(), name + ": manifest");
  const boost::json::object empty;
  const boost::json::object& manifest = parsed.is_object() ? parsed.get_object() : empty;
  const auto line = [](std::string_view label, const std::string& value) {
    print(fmt::format("{:<14} {}\n", label, value));
  };
  line("engine", fmt::format("{}, format {}, {}", name, engine.header().version,
                             readable_bytes(static_cast<double>(engine.header().body_bytes))));
  line("digest", engine.body_digest().hex());
  line("made by", "incipit " + json_text(manifest, "incipit"));
  if (const std::string tag = json_text(manifest, "version_tag"); !tag.empty()) line("tag", tag);
  const bool is_plain = plan.graph() != nullptr;
  if (is_plain) {
    line("model",
         fmt::format("{}, {} parameters", json_text(manifest, "architecture"), json_text(manifest, "parameters")));
    line("plain graph", "no decoder: " + json_text(manifest, "plain_graph"));
  } else {
    line("model",
         fmt::format("{}, {} parameters, {} layers, hidden {}, vocabulary {}", json_text(manifest, "architecture"),
                     json_text(manifest, "parameters"), plan.layers(), plan.hidden(), plan.vocabulary()));
  }
  line("precision",
       fmt::format("{}, weights {}, {}", text(plan.precision()),
                   readable_bytes(static_cast<double>(engine.weights().size())), certified_or_not(engine)));
  const boost::json::value* flags = manifest.if_contains("flags");
  const bool deterministic =
      flags != nullptr && flags->is_object() && json_text(flags->get_object(), "deterministic") == "true";
  line("deterministic", deterministic ? "yes" : "no");
  line("needs", to_string(engine.target()));
  if (is_plain) {
    print_sections(engine);
    print_plain_graph(plan);
    print_portable_fallbacks(manifest);
    return;
  }
  line("context", fmt::format("{} tokens, {} sequences at once", plan.max_context(), plan.max_sequences()));
  const plan::Bucket* largest = plan.buckets()->Get(count(plan.buckets()) - 1);
  line("plan", fmt::format("{} steps, {} buckets up to {} tokens, arena {}", count(plan.steps()), count(plan.buckets()),
                           largest->tokens(), readable_bytes(static_cast<double>(largest->arena_bytes()))));
  print_portable_fallbacks(manifest);
  for (const plan::CacheGroup* group : items(plan.groups())) {
    const plan::CachePlane& keys = *group->planes()->Get(0);
    const std::string scales = text(keys.scale()).empty() ? "" : fmt::format(" with scales in {}", text(keys.scale()));
    line("cache",
         fmt::format("{} layers in {}{}, {} a page of {} tokens, {} a token{}", count(group->layers()),
                     text(keys.dtype()), scales, readable_bytes(static_cast<double>(group->page_bytes())),
                     group->page_tokens(),
                     readable_bytes(static_cast<double>(group->page_bytes()) / std::max(group->page_tokens(), 1U)),
                     group->window() == 0 ? "" : fmt::format(", window {}", group->window())));
  }
  print_sections(engine);
  line("tokenizer",
       engine.tokenizer().empty() ? "none" : readable_bytes(static_cast<double>(engine.tokenizer().size())));
  line("chat template", engine.chat_template().empty() ? "none" : "yes");
  line("defaults", std::string(engine.generation_defaults()));
  line("golden", golden_line(engine));
  line("trailer", fmt::format("{} records", engine.trailer().size()));
  for (const TrailerRecord& record : engine.trailer()) {
    if (record.kind == TrailerKind::baseline) print_baseline(parse_json(record.json, name + ": baseline"));
  }
}

void print_trailer(const Engine& engine) {
  for (const TrailerRecord& record : engine.trailer()) print(fmt::format("{} {}\n", name_of(record.kind), record.json));
}

/// A product's name, as --keep takes it.
std::string_view product_of(std::string_view weight) {
  for (const std::string_view ending : {".codes", ".weight"}) {
    if (weight.ends_with(ending)) weight.remove_suffix(ending.size());
  }
  return weight;
}

/// With * for the numbers that stand between dots: a layer's.
std::string name_in_all_layers(std::string_view product) {
  std::string name;
  for (size_t i = 0; i < product.size(); ++i) {
    const size_t digits = std::min(product.find_first_not_of("0123456789", i), product.size()) - i;
    const bool is_number =
        digits > 0 && (i == 0 || product[i - 1] == '.') && (i + digits == product.size() || product[i + digits] == '.');
    name += is_number ? '*' : product[i];
    if (is_number) i += digits - 1;
  }
  return name;
}

/// Which products are in which format.
std::string describe_products(const Engine& engine) {
  std::map<std::string_view, std::map<std::string, std::vector<std::string_view>>> formats;
  for (const plan::Weight* weight : items(engine.plan().weights())) {
    if (text(weight->layout()) == "dense") continue;
    const std::string_view product = product_of(text(weight->name()));
    formats[text(weight->format())][name_in_all_layers(product)].push_back(product);
  }
  std::string lines;
  for (const auto& [format, products] : formats) {
    std::string names;
    for (const auto& [name, layers] : products) {
      names += names.empty() ? "" : ", ";
      names += layers.size() == 1 ? std::string(layers[0]) : fmt::format("{} ({})", name, layers.size());
    }
    lines += fmt::format("{:<14} {}: {}\n", "products", format, names);
  }
  return lines;
}

void print_accuracy(const Engine& engine) {
  const std::optional<Certificate> certificate = certificate_of(engine);
  std::string lines =
      fmt::format("{:<14} {}, {}\n", "precision", text(engine.plan().precision()), certified_or_not(engine));
  if (certificate) {
    lines += fmt::format("{:<14} {}\n", "measured", certificate->figures());
    lines += fmt::format("{:<14} {}, {} bytes, digest {}, in windows of {}\n", "text", certificate->text_name,
                         certificate->text_bytes, certificate->text_digest, certificate->window);
    lines += fmt::format("{:<14} incipit {} on {}\n", "by", certificate->version, certificate->machine);
  }
  print(lines + describe_products(engine));
}

int inspect_engine(const InspectOptions& options) {
  Engine::OpenOptions open;
  open.check_target = false;
  const auto engine = Engine::open(options.path, open);  // first: what is no engine is refused as what it is
  if (options.graph || options.passes || !options.after.empty()) {
    throw Error(options.path.string(), "is an engine, whose graph is gone", "give the model directory");
  }
  if (options.accuracy) print_accuracy(*engine);
  if (options.plan) print(describe_plan(engine->plan()));
  if (options.manifest) print(std::string(engine->manifest()) + "\n");
  if (options.trailer) print_trailer(*engine);
  if (options.check) {
    check_weights(*engine);
    print(fmt::format("{}: every byte of its body is as it was built\n", options.path.string()));
  }
  if (!options.plan && !options.manifest && !options.trailer && !options.check && !options.accuracy) {
    print_summary(*engine);
  }
  return 0;
}

void print_passes(const std::vector<PassReport>& reports) {
  const std::span<const Pass> list = passes();
  print(fmt::format("{:<24} {:>9} {:>7} {:>7}  {}\n", "pass", "ms", "nodes", "after", "what it does"));
  for (const PassReport& report : reports) {
    const auto pass = std::ranges::find(list, report.name, &Pass::name);
    print(fmt::format("{:<24} {:9.2f} {:7} {:7}  {}\n", report.name, report.ms, report.nodes_before, report.nodes_after,
                      pass == list.end() ? "" : pass->purpose));
    if (!report.note.empty()) print(fmt::format("{:<24} not done: {}\n", "", report.note));
  }
}

void print_model_summary(const std::filesystem::path& path, const Model& model) {
  print(fmt::format("{}: {}, {} layers, hidden {}, vocabulary {}, context {}, {} parameters\n", path.string(),
                    model.architecture, model.layers, model.hidden, model.vocabulary, model.max_position,
                    parameter_count(model.graph)));
  for (const OpCount& op : op_counts(model.graph)) print(fmt::format("  {:5} {}\n", op.nodes, op.op));
}

int inspect_model(const InspectOptions& options) {
  if (options.plan || options.manifest || options.trailer || options.check || options.accuracy) {
    throw Error(options.path.string(), "is a model, and no engine", "give an engine file");
  }
  Model model = import_from(options.path, {}, {.allow_non_finite = true});
  if (!options.passes && options.after.empty()) {
    options.graph ? print(to_text(model.graph)) : print_model_summary(options.path, model);
    return 0;
  }
  PassOptions pass_options;
  pass_options.precision = options.precision;
  std::string graph;
  bool found = false;
  pass_options.after = [&](std::string_view name, const Graph& state) {
    if (name != options.after) return;
    found = true;
    graph = to_text(state);
  };
  const std::vector<PassReport> reports = run_passes(model.graph, pass_options);
  if (!options.after.empty() && !found) {
    throw Error("--after", fmt::format("there is no pass '{}'", options.after),
                fmt::format("see: incipit inspect {} --passes", options.path.string()));
  }
  if (options.passes) print_passes(reports);
  print(graph);
  return 0;
}

int inspect(const InspectOptions& options) {
  return is_model(options.path) ? inspect_model(options) : inspect_engine(options);
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("inspect", "Show what is in an engine, or what a model becomes");
  const auto options = std::make_shared<InspectOptions>();
  add_input(*command, "PATH", options->path, "An engine file, or a model: a directory or an ONNX file")->required();
  command->add_flag("--plan", options->plan, "The engine's plan: buffers, weights, steps and their kernels");
  command->add_flag("--manifest", options->manifest, "Where the engine came from, as JSON");
  command->add_flag("--trailer", options->trailer, "What was measured of the engine");
  command->add_flag("--accuracy", options->accuracy,
                    "How far it was found from its model in f32, and the formats of its products");
  command->add_flag("--check", options->check, "Read all weights and compare their digest");
  command->add_flag("--graph", options->graph, "The model's graph, as it was read or --after a pass");
  command->add_option("--after", options->after, "The graph after this pass (the last time it ran)");
  command->add_flag("--passes", options->passes, "The passes, their times and the nodes before and after");
  command->add_option("--precision", options->precision, "Passes are run for this precision")
      ->check(CLI::IsMember(weight_format_names()))
      ->capture_default_str();
  command->callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace incipit::cli
