// incipit store verify: a version passes its gates, or is rejected.
#include "cli/store_verify.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/options.h"
#include "load/local_call.h"
#include "server/store_follower.h"
#include "server/store_gates.h"

namespace incipit::cli {
namespace {

struct VerifyVersionOptions {
  std::filesystem::path store;
  std::string model;
  int64_t version = 0;
  double slower = GateOptions().slower;
  std::filesystem::path text;
  std::string accuracy, socket;
  std::filesystem::path key;
  int threads = 0;
  bool json = false;
};

int report(const VerifyVersionOptions& options, const boost::json::object& verified) {
  const std::string verdict(verified.at("verdict").as_string());
  if (options.json) {
    print_json(verified);
  } else {
    for (const boost::json::value& gate : verified.at("gates").as_array()) {
      const auto text = [&](const char* name) { return std::string(gate.at(name).as_string()); };
      print(fmt::format("{:<11} {:<13} {}\n", text("gate"), text("verdict"), text("line")));
    }
    const boost::json::value& change = verified.at("record").at("changes").at(0);
    print(fmt::format("{}@{}: {}\n", options.model, options.version, std::string(change.at("to").as_string())));
  }
  return verdict == "passed" ? 0 : exit_failure;
}

/// By the server that serves the store; nothing where there is none.
std::optional<boost::json::object> verify_by_server(const VerifyVersionOptions& options) {
  boost::json::object body{{"version", options.version}, {"slower", options.slower}, {"actor", current_actor()}};
  if (!options.text.empty()) body["text"] = std::filesystem::absolute(options.text).string();
  if (!options.accuracy.empty()) body["accuracy"] = options.accuracy;
  const std::filesystem::path socket =
      options.socket.empty() ? administration_socket(options.store) : std::filesystem::path(options.socket);
  Progress progress;
  progress.stage("verifying beside what is served", 0);
  const auto answer = call_local(socket, fmt::format("/admin/models/{}/verify", options.model),
                                 boost::json::serialize(body), read_api_key(options.key));
  progress.finish();
  if (!answer) {
    if (!options.socket.empty())
      throw Error(options.socket, "nobody listens there", "see incipit serve --admin-socket");
    return std::nullopt;
  }
  const boost::json::value value = parse_json(answer->body, socket.string());
  constexpr int good = 200;
  if (answer->status == good) return value.as_object();
  const boost::json::value* error = value.is_object() ? value.get_object().if_contains("error") : nullptr;
  const boost::json::value* message = error == nullptr ? nullptr : error->as_object().if_contains("message");
  throw Error(fmt::format("{}@{}", options.model, options.version),
              message == nullptr || !message->is_string() ? fmt::format("the server answers {}", answer->status)
                                                          : std::string(message->get_string()));
}

/// In this process, beside the live version.
boost::json::object verify_here(const VerifyVersionOptions& options) {
  const Store store = Store::open(options.store);
  const ModelVersions now = store.read(options.model);
  const StoredVersion& version = now.require(options.version);
  GateOptions gates;
  gates.slower = options.slower;
  gates.text = options.text;
  if (!options.accuracy.empty()) gates.accuracy = AccuracyBound::parse(options.accuracy);
  GatewayOptions gateway;
  gateway.lease = std::make_shared<DeviceLease>(0);  // both are on one device
  const auto fresh = open_gateway(store.engine_of(version), options.threads, GatewayUse::serve, gateway);
  std::unique_ptr<Gateway> live;
  if (now.live() != nullptr && now.live() != &version) {
    live = open_gateway(store.engine_of(*now.live()), options.threads, GatewayUse::serve, gateway);
  }
  Progress progress;
  bool begun = false;
  const VerifiedVersion verified = verify_version(store, options.model, options.version, *fresh, live.get(), gates,
                                                  current_actor(), [&](std::string_view gate) {
                                                    if (std::exchange(begun, true)) progress.finish();
                                                    progress.stage(gate, 0);
                                                  });
  if (begun) progress.finish();
  return to_json(verified);
}

int verify(const VerifyVersionOptions& options) {
  if (!options.accuracy.empty()) AccuracyBound::parse(options.accuracy);  // refused before anything is opened
  if (const auto verified = verify_by_server(options)) return report(options, *verified);
  return report(options, verify_here(options));
}

}  // namespace

void add_store_verify(CLI::App& store, Action& action) {
  CLI::App* command = store.add_subcommand(
      "verify",
      "Run a version's gates: weights, golden logits, perplexity, and its speed beside the live version's; by "
      "the server that serves the store, where there is one");
  const auto options = std::make_shared<VerifyVersionOptions>();
  command->add_option("STORE", options->store, "The store's directory")->required();
  command->add_option("MODEL", options->model, "A model's name")->required();
  command->add_option("VERSION", options->version, "Its number")
      ->required()
      ->transform(integer_in<int64_t>(1, INT64_MAX));
  command->add_option("--slower", options->slower, "So many times the live version's times are allowed")
      ->transform(number_in(0.001, 1e6, "0.001 to 1e6"))
      ->capture_default_str();
  add_input(*command, "--text", options->text, "A text for the perplexity");
  command->add_option("--accuracy", options->accuracy,
                      "How far its perplexity may be above the live version's, as in 'perplexity<=1%' (default: what "
                      "its certificate says, or 1 %)");
  command->add_option("--admin-socket", options->socket, "The server's, where it is not in the store");
  command->add_option("--api-key-file", options->key,
                      "A file whose first line is a key of that server's administration");
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace incipit::cli
