// incipit serve: engines behind OpenAI's API.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "server/server.h"

namespace incipit::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> engines;  // ENGINE or NAME=ENGINE
  std::string host = "127.0.0.1";
  std::optional<int32_t> port;
  std::string socket;
  std::filesystem::path keys;
  std::vector<std::string> hosts, origins;
  int32_t most_requests = 256, most_connections = 1024, drain_seconds = 30;
  std::string body_size = "4M";
  int threads = 0;
};

constexpr int32_t default_port = 8000;

struct NamedEngine {
  std::string name;
  std::filesystem::path path;
};

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

std::shared_ptr<ModelTable> open_models(const ServeOptions& options) {
  const auto models = std::make_shared<ModelTable>();
  std::map<std::filesystem::path, std::shared_ptr<const ServedModel>> opened;
  for (const std::string& argument : options.engines) {
    const NamedEngine named = named_engine(argument);
    if (models->find(named.name) && !named.name.empty()) {
      throw Error(argument, fmt::format("the name '{}' is given twice", named.name), "give NAME=ENGINE");
    }
    std::error_code missing;
    const auto path = std::filesystem::canonical(named.path, missing);
    std::shared_ptr<const ServedModel>& model = opened[missing ? named.path : path];
    if (!model) model = served_model(named.name, open_gateway(named.path, options.threads, GatewayUse::serve));
    models->set(named.name, model);
  }
  return models;
}

/// What is served, where, with which limits.
std::string describe(const ServeOptions& options, const ServerOptions& server, int port, const ModelTable& models) {
  std::string names;
  for (const ModelTable::Entry& entry : models.entries()) {
    names += fmt::format("{}{} (context {})", names.empty() ? "" : ", ", entry.name, entry.model->max_context);
  }
  const bool six = options.host.find(':') != std::string::npos;
  const std::string host = six ? fmt::format("[{}]", options.host) : options.host;
  std::string places = port < 0 ? "" : fmt::format("http://{}:{}/v1", host, port);
  if (!options.socket.empty()) places += fmt::format("{}{}", places.empty() ? "" : " and ", options.socket);
  return fmt::format("serving {} at {}; {}; limits: {} requests, {} connections, {} a body, {} headers", names, places,
                     server.keys.empty() ? "no key is asked for" : "with API keys", server.most_requests,
                     server.http.limits.connections, readable_bytes(static_cast<double>(server.http.limits.body_bytes)),
                     readable_bytes(static_cast<double>(server.http.limits.header_bytes)));
}

int serve(const ServeOptions& options) {
  ServerOptions server;
  server.http.host = options.host;
  server.http.port = options.port.value_or(options.socket.empty() ? default_port : -1);
  server.http.socket = options.socket;
  server.http.limits.connections = static_cast<size_t>(options.most_connections);
  server.http.limits.body_bytes = static_cast<size_t>(parse_size(options.body_size, "--max-body"));
  if (!options.keys.empty()) server.keys = ApiKeys::read(options.keys);
  server.hosts = options.hosts;
  server.origins = options.origins;
  server.most_requests = static_cast<size_t>(options.most_requests);
  Progress progress;
  progress.stage("loading", 0);
  const std::shared_ptr<ModelTable> models = open_models(options);
  progress.finish();
  Server running(server, models);
  tell(describe(options, server, running.port(), *models));
  constexpr auto patience = std::chrono::milliseconds(50);  // between looks for a signal
  while (!interrupted()) std::this_thread::sleep_for(patience);
  tell("stopping: what was begun is answered; once more ends it at once");
  running.drain(std::chrono::seconds(options.drain_seconds));
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "Serve engines over HTTP, in the form of OpenAI's API");
  const auto options = std::make_shared<ServeOptions>();
  command->add_option("ENGINE", options->engines, "Engine files; NAME=ENGINE gives one another name, or one more")
      ->required();
  command->add_option("--host", options->host, "The address that is listened at")->capture_default_str();
  command->add_option("--port", options->port, "0: any that is free (default: 8000, or none with --socket)")
      ->transform(integer_in<int32_t>(0, 65535));
  command->add_option("--socket", options->socket, "A UNIX socket that is listened at");
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
  command->add_option("--max-connections", options->most_connections, "Connections at once")
      ->transform(integer_in<int32_t>(1, 1 << 16))
      ->capture_default_str();
  command->add_option("--max-body", options->body_size, "The largest body of a request")->capture_default_str();
  command
      ->add_option("--drain", options->drain_seconds,
                   "Seconds that SIGTERM leaves to what was begun before it is ended with an error")
      ->transform(integer_from(0))
      ->capture_default_str();
  add_threads(*command, options->threads);
  command->callback([options, &action] { action = [options] { return serve(*options); }; });
}

}  // namespace incipit::cli
