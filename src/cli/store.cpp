// incipit store: versions of engines, which one is live, and the way back.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/machine_memory.h"
#include "base/readable.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/store_verify.h"
#include "engine/engine.h"
#include "measure/certificate.h"
#include "runtime/executor.h"
#include "store/store.h"

namespace incipit::cli {
namespace {

struct StoreOptions {
  std::filesystem::path store;
  std::string model;
  std::filesystem::path engine;
  std::optional<std::string> tag, reason;
  int64_t version = 0;
  double canary = 0;
  bool any_machine = false, unverified = false, json = false;
};

std::string text_of(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  return value == nullptr || !value->is_string() ? std::string() : std::string(value->get_string());
}

boost::json::object manifest_of(const Engine& engine) {
  const boost::json::value manifest = parse_json(engine.manifest(), engine.path().string() + ": manifest");
  return manifest.is_object() ? manifest.get_object() : boost::json::object();
}

/// "first token of 128 in 3.1 ms, a token in 0.9 ms": the last of an engine's baselines, on whatever machine.
std::string baseline_line(const Engine& engine) {
  std::string line;
  for (const TrailerRecord& record : engine.trailer()) {
    if (record.kind != TrailerKind::baseline) continue;
    const boost::json::value value = parse_json(record.json, engine.path().string() + ": baseline");
    const boost::json::object* baseline = value.if_object();
    const boost::json::value* results = baseline == nullptr ? nullptr : baseline->if_contains("results");
    if (results == nullptr || !results->is_array()) continue;
    line.clear();
    for (const boost::json::value& result : results->get_array()) {
      const boost::json::object* one = result.if_object();
      const boost::json::value* ms = one == nullptr ? nullptr : one->if_contains("ms_median");
      const boost::json::value* tokens = one == nullptr ? nullptr : one->if_contains("tokens");
      if (ms == nullptr || tokens == nullptr || !ms->is_number() || !tokens->is_int64()) continue;
      const bool decodes = text_of(*one, "kind") == "decode";
      const std::string what = decodes ? "a token" : fmt::format("first token of {}", tokens->get_int64());
      line += fmt::format("{}{} in {:.1f} ms", line.empty() ? "" : ", ", what, ms->to_number<double>());
    }
  }
  return line;
}

// ---- commands

/// Throws Error for an engine that this machine cannot run, or has too little memory for.
void check_runs_here(const std::filesystem::path& path) {
  const std::shared_ptr<const Engine> engine = Engine::open(path);
  if (engine->plan().graph() != nullptr) {
    throw Error(path.string(), "is a plain graph, which is not served", "see incipit run-graph");
  }
  const Executor::Needs needs = Executor::needs(*engine);
  const int64_t least = needs.memory.weights + needs.memory.arena + needs.memory.state + needs.least_pages;
  if (engine->target().backend == Backend::cuda || least <= machine_memory()) return;
  throw Error(path.string(),
              fmt::format("takes {} at least, and this machine has {}", readable_bytes(static_cast<double>(least)),
                          readable_bytes(static_cast<double>(machine_memory()))),
              "build it with less, or add it with --any-machine");
}

int add(const StoreOptions& options) {
  if (!options.any_machine) check_runs_here(options.engine);
  Engine::OpenOptions any;
  any.check_target = false;
  const std::string tag = options.tag.value_or(text_of(manifest_of(*Engine::open(options.engine, any)), "version_tag"));
  const Store store = Store::open_or_create(options.store);
  const AuditRecord record = store.add(options.model, options.engine, tag, current_actor());
  if (record.number == 0) {
    print(fmt::format("{}: is a version of {} already, whose file was damaged and is mended\n", options.engine.string(),
                      options.model));
    return 0;
  }
  const int64_t version = record.changes.front().version;
  print(fmt::format("{}@{}: staged; next: incipit store verify {} {} {}\n", options.model, version,
                    options.store.string(), options.model, version));
  return 0;
}

int promote(const StoreOptions& options) {
  const Store store = Store::open(options.store);
  store.check_file(options.model, options.version);
  store.change(options.model, current_actor(), [&](const ModelVersions& now) {
    AuditRecord record = now.promote(options.version, options.canary, options.unverified);
    record.reason = options.reason.value_or(options.unverified ? "promoted unverified" : "");
    return record;
  });
  const std::string what = options.canary > 0 ? fmt::format("canary for {:g} % of requests", options.canary) : "live";
  print(fmt::format("{}@{}: {}\n", options.model, options.version, what));
  return 0;
}

int rollback(const StoreOptions& options) {
  const Store store = Store::open(options.store);
  const AuditRecord record = store.change(options.model, current_actor(), [&](const ModelVersions& now) {
    return now.rollback(options.reason.value_or("asked for"));
  });
  for (const AuditRecord::Change& change : record.changes) {
    print(fmt::format("{}@{}: {}\n", options.model, change.version, name_of(change.to)));
  }
  return 0;
}

std::vector<std::string> wanted_models(const Store& store, const StoreOptions& options) {
  return options.model.empty() ? store.models() : std::vector{options.model};
}

void print_version(const Store& store, const StoredVersion& version, double canary_percent) {
  std::string line = fmt::format("  {:>4}  {:<11}", version.number, name_of(version.state));
  if (version.state == VersionState::canary) line += fmt::format(" of {:g} %", canary_percent);
  std::string baseline;
  if (version.has_file()) {
    try {
      Engine::OpenOptions any;
      any.check_target = false;
      const auto engine = Engine::open(store.engine_of(version), any);
      const boost::json::object manifest = manifest_of(*engine);
      const auto bytes = static_cast<double>(std::filesystem::file_size(store.engine_of(version)));
      line += fmt::format(" {} for {}, {}, {}", text_of(manifest, "precision"), text_of(manifest, "target"),
                          readable_bytes(bytes), certified_or_not(*engine));
      baseline = baseline_line(*engine);
    } catch (const Error& error) {
      line += fmt::format(" {}", error.what());
    }
  }
  if (!version.tag.empty()) line += fmt::format("; {}", version.tag);
  print(line + "\n");
  if (!version.reason.empty()) print(fmt::format("        why: {}\n", version.reason));
  if (!baseline.empty()) print(fmt::format("        {}\n", baseline));
}

int list(const StoreOptions& options) {
  const Store store = Store::open(options.store);
  boost::json::object all;
  int status = 0;
  for (const std::string& model : wanted_models(store, options)) {
    try {
      const ModelVersions now = store.read(model);
      if (options.json) {
        all[model] = now.to_json();
        continue;
      }
      print(model + "\n");
      for (const StoredVersion& version : now.versions()) print_version(store, version, now.canary_percent());
    } catch (const ReaderGone&) {
      throw;
    } catch (const Error& error) {  // the others are listed
      if (!options.model.empty()) throw;
      tell(fmt::format("incipit: {}", error.what()));
      status = exit_failure;
    }
  }
  if (options.json) print_json(all);
  return status;
}

int history(const StoreOptions& options) {
  const Store store = Store::open(options.store);
  for (const std::string& model : wanted_models(store, options)) {
    for (const AuditRecord& record : store.history(model)) {
      boost::json::object object = to_json(record);
      if (options.json) {
        object["model"] = model;
        print_json(object);
        continue;
      }
      std::string line = fmt::format("{}  {}  {} {}", text_of(object, "time"), record.actor, record.action, model);
      for (const AuditRecord::Change& change : record.changes) {
        line +=
            fmt::format(", {} {} → {}", change.version, change.from.empty() ? "new" : change.from, name_of(change.to));
      }
      if (record.canary_percent > 0) line += fmt::format(" of {:g} %", record.canary_percent);
      print(record.reason.empty() ? line + "\n" : fmt::format("{}: {}\n", line, record.reason));
    }
  }
  return 0;
}

int collect(const StoreOptions& options) {
  const std::vector<Store::Collected> collected = Store::open(options.store).collect(current_actor());
  for (const Store::Collected& one : collected) {
    print(fmt::format("{}@{}: removed, {}\n", one.model, one.version, readable_bytes(static_cast<double>(one.bytes))));
  }
  if (collected.empty()) print("nothing to remove\n");
  return 0;
}

}  // namespace

void add_store(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("store", "Versions of engines: add, verify, promote, roll back");
  command->require_subcommand(1);
  const auto options = std::make_shared<StoreOptions>();
  const auto add_command = [&](const char* name, const char* description, int (*run)(const StoreOptions&)) {
    CLI::App* one = command->add_subcommand(name, description);
    one->add_option("STORE", options->store, "The store's directory")->required();
    one->callback([options, run, &action] { action = [options, run] { return run(*options); }; });
    return one;
  };
  const auto add_model = [&](CLI::App* one) { return one->add_option("MODEL", options->model, "A model's name"); };
  const auto add_version = [&](CLI::App* one) {
    one->add_option("VERSION", options->version, "Its number")
        ->required()
        ->transform(integer_in<int64_t>(1, INT64_MAX));
  };
  const auto add_reason = [&](CLI::App* one) { add_text(*one, "--reason", options->reason, "Why, for the audit"); };

  CLI::App* one = add_command("add", "Copy an engine into the store, which is made where there is none", add);
  add_model(one)->required();
  add_input(*one, "ENGINE", options->engine, "An engine file")->required();
  add_text(*one, "--tag", options->tag, "What to call it (default: what build --tag did)");
  one->add_flag("--any-machine", options->any_machine, "Do not ask whether this machine can run it");

  add_store_verify(*command, action);

  one = add_command("promote", "Make a version live, or a canary for some of the requests", promote);
  add_model(one)->required();
  add_version(one);
  one->add_option("--canary", options->canary, "For so many percent of the requests")
      ->transform(number_in(0.01, 99, "0.01 to 99"));
  one->add_flag("--unverified", options->unverified, "Whatever its gates said");
  add_reason(one);

  one = add_command("rollback", "End the canary, or else make the version live again that stands by", rollback);
  add_model(one)->required();
  add_reason(one);

  one = add_command("list", "Print versions with their states and baselines", list);
  add_model(one);
  one->add_flag("--json", options->json, "One JSON object");

  one = add_command("history", "Print who changed what, and why", history);
  add_model(one);
  one->add_flag("--json", options->json, "A JSON object a line");

  add_command("gc", "Remove the engines of versions that are retired, rejected or rolled back", collect);
}

}  // namespace incipit::cli
