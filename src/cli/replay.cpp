// incipit replay: recorded requests on two engines.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/error.h"
#include "base/machine_memory.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "measure/measure.h"
#include "measure/readiness.h"
#include "measure/replay_report.h"
#include "measure/step_costs_keeper.h"
#include "server/memory_shares.h"

namespace incipit::cli {
namespace {

struct ReplayCommand {
  std::filesystem::path record;
  std::array<std::filesystem::path, 2> engines;
  ReplayOptions replayed;
  int32_t limit = 0, max_gap_ms = 50;
  int threads = 0;
  bool json = false;
};

/// As a server has them: caches that the machine holds, what steps take measured, every bucket run.
std::array<std::unique_ptr<Gateway>, 2> open_engines(const ReplayCommand& command) {
  std::vector<std::shared_ptr<const Engine>> engines;
  for (const std::filesystem::path& path : command.engines) engines.push_back(Engine::open(path));
  const std::vector<int64_t> caches = share_caches(engines, 0, machine_memory());
  std::array<std::unique_ptr<Gateway>, 2> gateways;
  for (size_t i = 0; i < engines.size(); ++i) {
    GatewayOptions options;
    options.session.policy = {.max_gap_us = int64_t{1000} * command.max_gap_ms};
    options.session.executor.cache_bytes = caches[i];
    gateways[i] = open_gateway(engines[i], command.threads, GatewayUse::measure, options);
  }
  if (gateways[0]->limits().vocabulary != gateways[1]->limits().vocabulary) {
    throw Error(command.engines[1].string(),
                fmt::format("has a vocabulary of {}, and {} one of {}", gateways[1]->limits().vocabulary,
                            command.engines[0].string(), gateways[0]->limits().vocabulary),
                "give engines of one tokenizer");
  }
  Progress progress = Progress::for_long_work();
  for (const std::unique_ptr<Gateway>& gateway : gateways) {
    wait_for_memory(*gateway, progress);
    progress.stage("measuring steps", 0);
    StepCostsKeeper keeper(*gateway);
    while (!keeper.complete()) {
      check_interrupt();
      keeper.measure_step();
    }
    progress.finish();
    warm(*gateway, std::numeric_limits<double>::infinity());
  }
  return gateways;
}

int replay_record(const ReplayCommand& command) {
  std::vector<RecordedRequest> requests = read_record(command.record);
  if (command.limit > 0) requests.resize(std::min(requests.size(), static_cast<size_t>(command.limit)));
  const auto gateways = open_engines(command);
  const ExecutorLimits &a = gateways[0]->limits(), &b = gateways[1]->limits();
  const ReplayLimits limits{std::min(a.max_context, b.max_context), a.vocabulary};
  const ReplayPlan plan = plan_replay(std::move(requests), limits, command.replayed);
  Progress progress;
  progress.stage("replaying", std::ssize(plan.items), "choices");
  const std::vector<ReplayPair> pairs = replay(plan, {gateways[0].get(), gateways[1].get()}, command.replayed,
                                               [&](int64_t items) { progress.advance(items); });
  progress.finish();
  const ReplayReport report = make_report(plan, pairs, limits.context);
  if (command.json) {
    boost::json::object object = to_json(report);
    for (const size_t engine : {0, 1}) {
      boost::json::object& about = object[engine == 0 ? "a" : "b"].get_object();
      about["engine"] = command.engines[engine].string();
      about["digest"] = gateways[engine]->engine().body_digest().hex();
    }
    print_json(object);
  } else {
    print(fmt::format("A: {}\nB: {}\n", command.engines[0].string(), command.engines[1].string()) + describe(report));
  }
  if (interrupted()) return exit_interrupted();
  return report.compared > 0 ? 0 : exit_failure;
}

}  // namespace

void add_replay(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "replay",
      "Run requests that serve --record has written on two engines: how soon each answers, and whether both say the "
      "same");
  const auto options = std::make_shared<ReplayCommand>();
  add_input(*command, "RECORD", options->record, "A record of requests")->required();
  add_input(*command, "A", options->engines[0], "An engine")->required();
  add_input(*command, "B", options->engines[1], "The engine that is compared with it")->required();
  CLI::Option* speed =
      command->add_option("--speed", options->replayed.speed, "How many times as fast as recorded requests come")
          ->transform(number_in(1e-3, 1e6, "0.001 to 1e6"))
          ->capture_default_str();
  command
      ->add_flag("--one-by-one", options->replayed.one_by_one,
                 "Each request when the one before it has ended, whenever it came")
      ->excludes(speed);
  command->add_option("--limit", options->limit, "Only so many of the first requests")->transform(integer_from(1));
  command->add_option("--max-gap", options->max_gap_ms, "As of serve")
      ->transform(integer_from(0))
      ->capture_default_str();
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return replay_record(*options); }; });
}

}  // namespace incipit::cli
