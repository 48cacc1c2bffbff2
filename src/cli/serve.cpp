// incipit serve: engines behind OpenAI's API.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/machine_memory.h"
#include "base/progress.h"
#include "base/readable.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "measure/certificate.h"
#include "server/engine_host.h"
#include "server/memory_shares.h"
#include "server/recorder.h"
#include "server/server.h"
#include "server/store_follower.h"

namespace incipit::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> engines;  // ENGINE or NAME=ENGINE
  std::filesystem::path store;
  std::string host = "127.0.0.1";
  std::optional<int32_t> port;
  std::string socket, socket_mode;
  std::filesystem::path keys;
  std::vector<std::string> hosts, origins;
  int32_t most_requests = 256, most_connections = 1024, drain_seconds = 30;
  int32_t max_gap_ms = 50, max_ttft_ms = 0;
  std::string body_size = "4M", memory = "0";
  std::filesystem::path access_log;
  std::filesystem::path record;
  bool record_texts = false;
  bool explain_cache = false;
  std::string on_regression = "warn";
  double regression = 1.5;
  int threads = 0;
  // Of a store.
  double canary_window_s = 60, canary_slower = 1.25;
  int32_t canary_samples = 30;
  std::string admin_socket, admin_host = "127.0.0.1";
  std::optional<int32_t> admin_port;
  std::filesystem::path admin_keys;
};

constexpr int32_t default_port = 8000;

struct NamedEngine {
  std::string name;
  std::filesystem::path path;
};

/// "660" and its like; nothing for an empty text.
std::optional<mode_t> parse_mode(const std::string& text) {
  if (text.empty()) return {};
  constexpr uint32_t most = 0777;
  uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error == std::errc() && end == text.data() + text.size() && mode <= most) return static_cast<mode_t>(mode);
  throw Error("--socket-mode", fmt::format("'{}' is no mode", text), "give octal digits up to 777, such as 660");
}

/// "NAME=ENGINE", where there is no file of that whole name; else the file's name without its ending.
NamedEngine named_engine(const std::string& argument) {
  const size_t sign = argument.find('=');
  if (sign == std::string::npos || std::filesystem::exists(argument)) {
    return {std::filesystem::path(argument).stem().string(), argument};
  }
  NamedEngine named{argument.substr(0, sign), argument.substr(sign + 1)};
  if (named.name.empty()) throw Error(argument, "the engine's name is empty", "give NAME=ENGINE");
  return named;
}

/// Engines by their files, each once, and the names of each.
struct EngineFiles {
  std::filesystem::path path;
  std::vector<std::string> names;
  std::shared_ptr<const Engine> engine;
};

std::vector<EngineFiles> find_engines(const ServeOptions& options) {
  std::vector<EngineFiles> files;
  std::set<std::string> names;
  for (const std::string& argument : options.engines) {
    const NamedEngine named = named_engine(argument);
    if (!names.insert(named.name).second) {
      throw Error(argument, fmt::format("the name '{}' is given twice", named.name), "give NAME=ENGINE");
    }
    std::error_code missing;
    auto path = std::filesystem::canonical(named.path, missing);
    if (missing) path = named.path;
    auto file = std::ranges::find(files, path, &EngineFiles::path);
    if (file == files.end()) file = files.insert(file, {path, {}, Engine::open(named.path)});
    file->names.push_back(named.name);
  }
  return files;
}

std::vector<HostedEngine> open_models(const ServeOptions& options, EngineHost& host, ModelTable& models) {
  const std::vector<EngineFiles> files = find_engines(options);
  std::vector<std::shared_ptr<const Engine>> opened;
  for (const EngineFiles& file : files) opened.push_back(file.engine);
  const std::vector<int64_t> shares = share_caches(opened, parse_size(options.memory, "--memory"), machine_memory());
  std::vector<HostedEngine> engines;
  for (size_t i = 0; i < files.size(); ++i) {
    engines.push_back(host.open(files[i].engine, files[i].names.front(), shares[i]));
    for (const std::string& name : files[i].names) models.set(name, engines.back().model);
  }
  return engines;
}

std::unique_ptr<StoreFollower> follow_store(const ServeOptions& options, EngineHost& host, ModelTable& models) {
  if (options.store.empty()) return nullptr;
  FollowOptions follow;
  follow.cache_bytes = parse_size(options.memory, "--memory");
  follow.canary.least_samples = static_cast<size_t>(options.canary_samples);
  follow.canary.slower = options.canary_slower;
  follow.canary_window = std::chrono::milliseconds(static_cast<int64_t>(1000 * options.canary_window_s));
  auto follower = std::make_unique<StoreFollower>(Store::open(options.store), host, models, follow);
  follower->open_live();
  return follower;
}

/// Where versions are administered: a socket in the store, unless something else is said. Null without a store.
std::unique_ptr<Server> serve_administration(const ServeOptions& options, StoreFollower* follower,
                                             const std::shared_ptr<ModelTable>& models) {
  if (follower == nullptr) return nullptr;
  ServerOptions server;
  server.http.host = options.admin_host;
  server.http.port = options.admin_port.value_or(-1);
  const bool by_default = options.admin_socket.empty() && !options.admin_port;
  server.http.socket = by_default ? administration_socket(options.store).string() : options.admin_socket;
  server.http.socket_mode = 0600;  // who may change what is served is who serves it
  if (!options.admin_keys.empty()) server.keys = ApiKeys::read(options.admin_keys);
  server.follower = follower;
  server.administration = true;
  return std::make_unique<Server>(server, models);
}

std::vector<std::filesystem::path> inputs_of(const ServeOptions& options) {
  std::vector<std::filesystem::path> inputs{options.keys};
  for (const std::string& engine : options.engines) inputs.push_back(named_engine(engine).path);
  return inputs;
}

std::shared_ptr<Recorder> open_record(const ServeOptions& options) {
  if (options.record.empty()) return nullptr;
  std::vector<std::filesystem::path> inputs = inputs_of(options);
  if (!is_standard(options.access_log)) inputs.push_back(options.access_log);
  check_output({options.record, "--record", "record of requests", is_record}, inputs);
  keep_hangups();
  return std::make_shared<Recorder>(options.record, options.record_texts);
}

std::shared_ptr<AccessLog> open_log(const ServeOptions& options) {
  if (options.access_log.empty()) return nullptr;
  if (!is_standard(options.access_log)) {
    const auto is_log = [](std::string_view beginning) { return beginning.starts_with(R"({"time":")"); };
    check_output({options.access_log, "--access-log", "access log", is_log}, inputs_of(options));
    keep_hangups();
  }
  return std::make_shared<AccessLog>(options.access_log);
}

std::string precision_of(const ServedModel& model) {
  const auto gateway = std::dynamic_pointer_cast<Gateway>(model.source);
  if (gateway == nullptr) return "";
  const Engine& engine = gateway->engine();
  return fmt::format(", {}, {}", engine.plan().precision()->string_view(), certified_or_not(engine));
}

/// What is served, where, with which limits.
std::string describe(const ServeOptions& options, const ServerOptions& server, int port, const ModelTable& models,
                     const std::vector<HostedEngine>& engines) {
  std::string names, caches;
  for (const HostedEngine& engine : engines) {
    caches += fmt::format("{}{} {}", caches.empty() ? "" : ", ", engine.model->name,
                          readable_bytes(static_cast<double>(engine.gateway->memory().pages)));
  }
  if (!options.store.empty()) caches += fmt::format("{}as {} says", caches.empty() ? "" : ", ", options.store.string());
  for (const ModelTable::Entry& entry : models.entries()) {
    if (entry.model->version != 0 && entry.name != entry.model->name) continue;  // every version has such a name
    names += fmt::format("{}{} (context {}{})", names.empty() ? "" : ", ", entry.name, entry.model->max_context,
                         precision_of(*entry.model));
  }
  const bool six = options.host.find(':') != std::string::npos;
  const std::string host = six ? fmt::format("[{}]", options.host) : options.host;
  std::string places = port < 0 ? "" : fmt::format("http://{}:{}/v1", host, port);
  if (!options.socket.empty()) places += fmt::format("{}{}", places.empty() ? "" : " and ", options.socket);
  return fmt::format("serving {} at {}; {}; caches: {}; limits: {} requests, {} connections, {} a body, {} headers",
                     names, places, server.keys.empty() ? "no key is asked for" : "with API keys", caches,
                     server.most_requests, server.http.limits.connections,
                     readable_bytes(static_cast<double>(server.http.limits.body_bytes)),
                     readable_bytes(static_cast<double>(server.http.limits.header_bytes)));
}

int serve(const ServeOptions& options) {
  ServerOptions server;
  server.http.host = options.host;
  server.http.port = options.port.value_or(options.socket.empty() ? default_port : -1);
  server.http.socket = options.socket;
  server.http.socket_mode = parse_mode(options.socket_mode);
  server.http.limits.connections = static_cast<size_t>(options.most_connections);
  server.http.limits.body_bytes = static_cast<size_t>(parse_size(options.body_size, "--max-body"));
  if (!options.keys.empty()) server.keys = ApiKeys::read(options.keys);
  server.hosts = options.hosts;
  server.origins = options.origins;
  server.most_requests = static_cast<size_t>(options.most_requests);
  server.explain_cache = options.explain_cache;
  if (server.http.limits.body_bytes == 0) throw Error("--max-body", "'0' takes no request", "give a size such as 4M");
  Progress progress;
  progress.stage("loading", 0);
  const auto models = std::make_shared<ModelTable>();
  EngineHost host({options.threads, options.max_gap_ms, options.max_ttft_ms, options.regression,
                   options.on_regression == "refuse"});
  const std::vector<HostedEngine> engines =
      options.engines.empty() ? std::vector<HostedEngine>() : open_models(options, host, *models);
  const std::unique_ptr<StoreFollower> follower = follow_store(options, host, *models);
  progress.finish();
  server.log = open_log(options);
  server.recorder = open_record(options);
  server.follower = follower.get();
  Server running(server, models);
  const std::unique_ptr<Server> administration = serve_administration(options, follower.get(), models);
  tell(describe(options, server, running.port(), *models, engines));
  try {
    for (const HostedEngine& engine : engines) host.make_ready(engine);
    if (follower) follower->make_ready();
  } catch (const Error&) {
    if (!interrupted()) throw;
  }
  constexpr auto patience = std::chrono::milliseconds(50);  // between looks for a signal
  for (; !interrupted(); std::this_thread::sleep_for(patience)) {
    if (take_hangup()) {
      if (server.log) server.log->reopen();
      if (server.recorder) server.recorder->reopen();
    }
    for (const HostedEngine& engine : engines) engine.costs->measure_step();
    if (follower) follower->poll();
    models->free_unused();
  }
  tell("stopping: what was begun is answered; once more ends it at once");
  if (follower) follower->events()->close();
  running.drain(std::chrono::seconds(options.drain_seconds));
  return 0;
}

/// What is said of a store of versions.
void add_store_options(CLI::App& command, const std::shared_ptr<ServeOptions>& options) {
  CLI::Option* store = command.add_option("--store", options->store,
                                          "A store of versions (incipit store), which is followed as it changes");
  command
      .add_option("--canary-window", options->canary_window_s,
                  "Seconds after which a canary is compared with the live version, again and again")
      ->transform(number_in(0.1, 86400, "0.1 to 86400"))
      ->needs(store)
      ->capture_default_str();
  command
      .add_option("--canary-samples", options->canary_samples,
                  "First tokens, or gaps, that both must have in a window to be compared")
      ->transform(integer_from(1))
      ->needs(store)
      ->capture_default_str();
  command
      .add_option("--canary-slower", options->canary_slower,
                  "So many times the live version's time is bad; three bad windows roll the canary back")
      ->transform(number_in(1, 1e6, "1 to 1e6"))
      ->needs(store)
      ->capture_default_str();
  command
      .add_option("--admin-socket", options->admin_socket,
                  "The UNIX socket of the administration (default: admin.sock in the store, or none with --admin-port)")
      ->needs(store);
  command.add_option("--admin-port", options->admin_port, "A port for the administration; 0: any that is free")
      ->transform(integer_in<int32_t>(0, 65535))
      ->needs(store);
  command.add_option("--admin-host", options->admin_host, "The address of that port")
      ->needs(store)
      ->capture_default_str();
  command.add_option("--admin-keys", options->admin_keys, "A file of keys, one a line, for the administration")
      ->needs(store);
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "Serve engines over HTTP, in the form of OpenAI's API");
  const auto options = std::make_shared<ServeOptions>();
  add_config(*command);
  command->add_option("ENGINE", options->engines, "Engine files; NAME=ENGINE gives one another name, or one more");
  command->add_option("--host", options->host, "The address that is listened at")->capture_default_str();
  command->add_option("--port", options->port, "0: any that is free (default: 8000, or none with --socket)")
      ->transform(integer_in<int32_t>(0, 65535));
  CLI::Option* socket = command->add_option("--socket", options->socket, "A UNIX socket that is listened at");
  socket->check([](const std::string& path) { return path.empty() ? "is empty; give a path" : std::string(); });
  command
      ->add_option("--socket-mode", options->socket_mode,
                   "The socket's permissions, in octal, such as 660 (default: what the umask leaves)")
      ->needs(socket);
  command->add_option("--api-keys", options->keys, "A file of keys, one a line: who calls must have one of them");
  command->add_option("--allow-host", options->hosts, "A name that requests may call this server by; *: any")
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  command->add_option("--allow-origin", options->origins, "Pages that may call, such as https://example.org; *: any")
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  command->add_option("--max-requests", options->most_requests, "Requests at once; more are refused with status 429")
      ->transform(integer_in<int32_t>(1, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--max-gap", options->max_gap_ms,
                   "Milliseconds that a running stream waits for its next token while prompts are computed, or one "
                   "smallest step; 0: without a bound")
      ->transform(integer_from(0))
      ->capture_default_str();
  command
      ->add_option("--max-ttft", options->max_ttft_ms,
                   "Milliseconds: requests whose first token is predicted to come later are refused with status 429")
      ->transform(integer_from(1));
  command->add_option(
      "--memory", options->memory,
      "Memory for the caches of all engines together, such as 1500M or 2G (default and 0: what they can "
      "use, as far as the machine's goes)");
  command->add_option("--max-connections", options->most_connections, "Connections at once")
      ->transform(integer_in<int32_t>(1, 1 << 16))
      ->capture_default_str();
  command->add_option("--max-body", options->body_size, "The largest body of a request")->capture_default_str();
  command
      ->add_option("--drain", options->drain_seconds,
                   "Seconds that SIGTERM leaves to what was begun before it is ended with an error")
      ->transform(integer_from(0))
      ->capture_default_str();
  command->add_option("--access-log", options->access_log,
                      "A file that gets a line of JSON for each request, -: standard output; SIGHUP opens it anew");
  CLI::Option* record = command->add_option(
      "--record", options->record,
      "A file, its owner's alone, that gets a line of JSON for each request for text, for incipit replay: prompts as "
      "digests of their beginnings; SIGHUP opens it anew");
  command->add_flag("--record-texts", options->record_texts, "Record prompts and answers as they are")->needs(record);
  command->add_flag("--explain-cache", options->explain_cache,
                    "Say of each request, in the access log and in timings, which token ends what its prompt has in "
                    "common with the nearest cached prefix, and why no more was reused");
  command
      ->add_option("--on-regression", options->on_regression,
                   "What to do where first tokens come later than the engine's baseline says")
      ->check(CLI::IsMember({"refuse", "warn"}))
      ->capture_default_str();
  command->add_option("--regression", options->regression, "So many times the baseline is late")
      ->transform(number_in(1, 1e6, "1 to 1e6"))
      ->capture_default_str();
  add_threads(*command, options->threads);
  add_store_options(*command, options);
  command->callback([options, &action] {
    if (options->engines.empty() && options->store.empty()) throw CLI::RequiredError("ENGINE");  // or in --config
    action = [options] { return serve(*options); };
  });
}

}  // namespace incipit::cli
