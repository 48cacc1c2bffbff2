// incipit load: asks a server for streams, and says how soon they came.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "load/load.h"

namespace incipit::cli {
namespace {

struct LoadCommand {
  std::string url;
  std::filesystem::path trace, key;
  LoadOptions load;
  double rate = 0;
  int32_t requests = 0, prompt = 128, tokens = 32, context = 0;
  double first_ms = 0, gap_ms = 0;
  bool json = false;
};

std::vector<Arrival> arrivals_of(const LoadCommand& command) {
  std::vector<Arrival> arrivals;
  if (command.trace.empty()) {
    constexpr int32_t usual = 100;
    const int32_t count = command.requests > 0 ? command.requests : usual;
    arrivals = random_arrivals(count, command.rate, command.prompt, command.tokens, command.load.seed);
  } else {
    arrivals = read_arrivals(command.trace);
    if (command.requests > 0) arrivals.resize(std::min(arrivals.size(), static_cast<size_t>(command.requests)));
  }
  return arrivals;
}

int load(LoadCommand command) {
  LoadOptions& options = command.load;
  options.target = parse_target(command.url);
  options.key = read_api_key(command.key);
  if (options.first_id >= options.last_id) throw Error("--last-id", "is no more than --first-id", "give a larger one");
  options.arrivals = arrivals_of(command);
  const LoadModel model = ask_for_model(options);
  options.model = model.name;
  const int32_t context = command.context > 0 ? command.context : model.context;
  const int32_t cut = context > 0 ? cut_to_context(options.arrivals, context) : 0;
  Progress progress;
  progress.stage("load", std::ssize(options.arrivals), "requests");
  size_t told = 0;
  const LoadOutcome outcome = run_load(options, [&](size_t results) {
    progress.advance(static_cast<int64_t>(results - std::exchange(told, results)));
    return !interrupted();
  });
  progress.advance(std::ssize(outcome.results) - static_cast<int64_t>(told));
  progress.finish();
  const LoadReport report =
      make_report(outcome.results, outcome.seconds, cut, {command.first_ms / 1e3, command.gap_ms / 1e3});
  if (command.json) {
    print_json(to_json(report));
  } else {
    print(describe(report));
  }
  if (interrupted()) return exit_interrupted();
  return report.answered > 0 ? 0 : exit_failure;
}

}  // namespace

void add_load(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("load", "Ask a server for streams, and say how soon they came");
  const auto options = std::make_shared<LoadCommand>();
  LoadOptions& load_options = options->load;
  command->add_option("URL", options->url, "The server, such as http://127.0.0.1:8000")->required();
  CLI::Option* trace = add_input(*command, "--trace", options->trace,
                                 "Requests and their moments: Azure's CSV, or lines of JSON as Mooncake's");
  command->add_option("--speed", load_options.speed, "So many times as fast as the trace's clock")
      ->transform(number_in(1e-3, 1e6, "0.001 to 1e6"))
      ->needs(trace)
      ->capture_default_str();
  CLI::Option* rate =
      command->add_option("--rate", options->rate, "Requests in a second, at random moments; 0: at once")
          ->transform(number_in(0, 1e6, "0 to 1e6"))
          ->excludes(trace);
  command->add_option("--users", load_options.users, "So many ask, each one request after another")
      ->transform(integer_in<int32_t>(1, 10'000))
      ->excludes(rate);
  command->add_option("--requests", options->requests, "How many (default: 100, or all of the trace)")
      ->transform(integer_from(1));
  command->add_option("--prompt", options->prompt, "Tokens of a prompt")
      ->transform(integer_in<int32_t>(1, 1 << 20))
      ->excludes(trace)
      ->capture_default_str();
  command->add_option("--tokens", options->tokens, "Tokens of an answer")
      ->transform(integer_in<int32_t>(1, 1 << 20))
      ->excludes(trace)
      ->capture_default_str();
  command->add_option("--model", load_options.model, "The model's name (default: the first that is served)");
  command->add_option("--context", options->context, "What prompts are cut to (default: what the server says)")
      ->transform(integer_from(2));
  command->add_option("--most-at-once", load_options.most_at_once, "Connections at once; what is due beyond waits")
      ->transform(integer_in<int32_t>(1, 10'000))
      ->capture_default_str();
  command->add_option("--first-id", load_options.first_id, "Prompts are made of ids from this one on")
      ->transform(integer_from(0))
      ->capture_default_str();
  command->add_option("--last-id", load_options.last_id, "and of ids before this one")
      ->transform(integer_from(1))
      ->capture_default_str();
  command->add_option("--seed", load_options.seed, "Of moments and prompts")
      ->transform(integer_in<uint64_t>(0, UINT64_MAX))
      ->capture_default_str();
  command->add_option("--max-ttft", options->first_ms, "A good request's first token takes no more ms; 0: any")
      ->transform(number_in(0, 1e9, "0 to 1e9"));
  command->add_option("--max-gap", options->gap_ms, "A good request waits for no token longer, in ms; 0: any")
      ->transform(number_in(0, 1e9, "0 to 1e9"));
  command->add_option("--timeout", load_options.timeout_s, "Seconds that a request may take")
      ->transform(number_in(0.001, 1e6, "0.001 to 1e6"))
      ->capture_default_str();
  command->add_option("--api-key-file", options->key, "A file whose first line is the server's key");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &action] { action = [options] { return load(*options); }; });
}

}  // namespace incipit::cli
