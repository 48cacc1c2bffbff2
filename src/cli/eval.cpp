// incipit eval: how likely an engine finds a text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/plan_items.h"
#include "session/evaluate.h"

namespace incipit::cli {
namespace {

struct EvalOptions {
  std::filesystem::path engine, text;
  int32_t max_tokens = 0, window = 512;
  int threads = 0;
  bool json = false;
};

int eval(const EvalOptions& options) {
  const std::string text = read_utf8_text(options.text);
  const auto gateway = open_gateway(options.engine, options.threads, GatewayUse::evaluate);
  if (const auto context = static_cast<int32_t>(gateway->engine().plan().max_context()); options.window > context) {
    throw Error("--window", fmt::format("{} tokens are more than the engine's context of {}", options.window, context),
                fmt::format("give {} or less", context));
  }
  const std::vector<int32_t> tokens = tokens_of_text(text, options.text, *gateway, options.max_tokens);
  Progress progress;
  progress.stage("evaluating", static_cast<int64_t>(tokens.size()) / options.window * options.window, "tokens");
  const auto start = std::chrono::steady_clock::now();
  Perplexity perplexity;
  of_text(options.text, [&] {
    gateway->run_alone([&](Session& session) {
      perplexity = evaluate_perplexity(session.executor(), tokens, options.window,
                                       [&](int64_t count) { progress.advance(count); });
    });
  });
  progress.finish();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.json) {
    print_json({{"engine", options.engine.string()},
                {"text", options.text.string()},
                {"perplexity", perplexity.value},
                {"tokens_scored", perplexity.tokens_scored},
                {"window", options.window},
                {"seconds", seconds}});
  } else {
    print(fmt::format("perplexity {:.4f} over {} tokens in windows of {} ({})\n", perplexity.value,
                      perplexity.tokens_scored, options.window, readable_seconds(seconds)));
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("eval",
                                         "Perplexity of a text, in windows without overlap and without begin token; "
                                         "the first token of each is not scored");
  const auto options = std::make_shared<EvalOptions>();
  add_input(*command, "ENGINE", options->engine, "An engine file")->required();
  add_input(*command, "--text", options->text, "A UTF-8 text file; -: standard input")->required();
  command->add_option("--max-tokens", options->max_tokens, "Use no more of the text's tokens")
      ->transform(integer_from(1));
  command->add_option("--window", options->window, "Tokens of a window")
      ->transform(integer_in(2, 1 << 30))
      ->capture_default_str();
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return eval(*options); }; });
}

}  // namespace incipit::cli
