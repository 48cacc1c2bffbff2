// incipit simulate: a trace of requests on the scheduler, without the engine's work.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "measure/simulation.h"
#include "measure/step_costs_keeper.h"

namespace incipit::cli {
namespace {

struct SimulateOptions {
  std::filesystem::path trace, engine;
  int32_t most_requests = 0, max_gap_ms = 50, max_ttft_ms = 0;
  double speed = 1;
  int threads = 0;
  bool json = false;
};

template <typename T>
T percentile(std::vector<T> values, int32_t percent) {
  if (values.empty()) return 0;
  const size_t place = std::min(values.size() - 1, values.size() * static_cast<size_t>(percent) / 100);
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(place));
  return values[place];
}

constexpr int32_t percents[] = {50, 90, 99, 100};

template <typename T>
boost::json::object percentiles(const std::vector<T>& values, double scale) {
  boost::json::object object;
  for (const int32_t percent : percents) {
    object[fmt::format("p{}", percent)] = static_cast<double>(percentile(values, percent)) * scale;
  }
  return object;
}

constexpr double ms_of_us = 1e-3, s_of_us = 1e-6;

boost::json::object to_json(const SimulationResult& result) {
  return {{"ttft_ms", percentiles(result.first_tokens, ms_of_us)},
          {"ttft_over_alone", percentiles(result.slowdowns, 1)},
          {"gap_ms", percentiles(result.gaps, ms_of_us)},
          {"predicted_over_ttft", percentiles(result.predictions, 1)},
          {"requests", result.first_tokens.size()},
          {"refused", result.refused},
          {"prompt_tokens", result.prompt_tokens},
          {"cached_tokens", result.cached_tokens},
          {"new_tokens", result.new_tokens},
          {"seconds", static_cast<double>(result.us) * s_of_us},
          {"busy_seconds", static_cast<double>(result.busy_us) * s_of_us}};
}

template <typename T>
std::string row_of(std::string_view policy, std::string_view what, const std::vector<T>& values, double scale) {
  std::string row = fmt::format("{:<9} {:<22}", policy, what);
  for (const int32_t percent : percents) {
    row += fmt::format(" {:>10.4g}", static_cast<double>(percentile(values, percent)) * scale);
  }
  return row + "\n";
}

std::string table_of(std::string_view policy, const SimulationResult& result) {
  return row_of(policy, "first token, ms", result.first_tokens, ms_of_us) +
         row_of(policy, "first token / alone", result.slowdowns, 1) + row_of(policy, "gap, ms", result.gaps, ms_of_us) +
         row_of(policy, "predicted / first token", result.predictions, 1) +
         fmt::format(
             "{:<9} {} requests, {} refused; {} prompt tokens, {} of them cached, {} new; busy {:.0f} of "
             "{:.0f} s\n",
             policy, result.first_tokens.size(), result.refused, result.prompt_tokens, result.cached_tokens,
             result.new_tokens, static_cast<double>(result.busy_us) * s_of_us,
             static_cast<double>(result.us) * s_of_us);
}

int simulate_trace(const SimulateOptions& options) {
  std::vector<Arrival> arrivals = read_arrivals(options.trace);
  if (options.most_requests > 0 && arrivals.size() > static_cast<size_t>(options.most_requests)) {
    arrivals.resize(static_cast<size_t>(options.most_requests));
  }
  SimulationOptions simulation;
  StepCosts costs;
  {
    Progress progress = Progress::for_long_work();
    const std::unique_ptr<Gateway> gateway = open_gateway(options.engine, options.threads, GatewayUse::serve);
    StepCostsKeeper keeper(*gateway);
    progress.stage("measuring steps", 0);
    while (!keeper.complete()) {
      check_interrupt();
      keeper.measure_step();
    }
    progress.finish();
    costs = keeper.costs();
    gateway->run_alone([&](Session& session) { simulation.limits = session.scheduler_limits(); });
  }
  const int32_t cut = cut_to_context(arrivals, simulation.limits.max_context);
  simulation.speed = options.speed;
  simulation.most_first_token_us = int64_t{1000} * options.max_ttft_ms;
  boost::json::object policies;
  std::string table = fmt::format("{} requests, {} of them cut to the context\n{:<32}", arrivals.size(), cut, "");
  for (const int32_t percent : percents) table += fmt::format(" {:>10}", fmt::format("p{}", percent));
  table += "\n";
  for (const bool in_order : {true, false}) {
    const std::string_view name = in_order ? "fifo" : "slack";
    simulation.policy = {.max_gap_us = in_order ? 0 : int64_t{1000} * options.max_gap_ms, .in_order = in_order};
    const auto begin = std::chrono::steady_clock::now();
    const SimulationResult result = simulate(arrivals, costs, simulation);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    if (options.json) {
      boost::json::object& object = policies[name].emplace_object();
      object = to_json(result);
      object["cut"] = cut;
      object["wall_seconds"] = wall.count();
    } else {
      table += table_of(name, result) + fmt::format("{:<9} simulated in {:.1f} s\n", name, wall.count());
    }
  }
  if (options.json) {
    print_json(policies);
  } else {
    print(table);
  }
  return 0;
}

}  // namespace

void add_simulate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "simulate", "Replay a trace of requests on the scheduler, by what the engine's steps were measured to take");
  const auto options = std::make_shared<SimulateOptions>();
  add_input(*command, "TRACE", options->trace,
            "CSV of TIMESTAMP,ContextTokens,GeneratedTokens, or lines of JSON with timestamp, input_length, "
            "output_length and hash_ids")
      ->required();
  add_input(*command, "--engine", options->engine, "An engine file")->required();
  command->add_option("--requests", options->most_requests, "Only so many of the first requests")
      ->transform(integer_from(1));
  command->add_option("--speed", options->speed, "How many times as fast requests come")
      ->transform(number_in(1e-6, 1e6, "0.000001 to 1000000"))
      ->capture_default_str();
  command->add_option("--max-gap", options->max_gap_ms, "As of serve")
      ->transform(integer_from(0))
      ->capture_default_str();
  command->add_option("--max-ttft", options->max_ttft_ms, "As of serve")->transform(integer_from(1));
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return simulate_trace(*options); }; });
}

}  // namespace incipit::cli
