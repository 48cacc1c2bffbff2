// incipit run: a prompt goes on, or a conversation.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <random>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/arguments.h"
#include "cli/batch.h"
#include "cli/chat.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "openai/chat_variables.h"
#include "runtime/plain/plain_graph.h"

namespace incipit::cli {
namespace {

struct RunOptions {
  std::filesystem::path engine;
  std::optional<std::string> prompt, ids;
  int32_t max_tokens = 256;
  std::optional<float> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stops;
  std::optional<std::string> stop_ids;
  std::vector<std::string> template_arguments;
  bool greedy = false, raw = false, json = false, echo = false, check = false;
  bool chat = false;
  std::optional<std::string> system;
  BatchFiles batch;
  int threads = 0;
};

/// When what comes before the answer was done.
struct Outcome {
  Answer answer;
  Answer::Clock::time_point begun, loaded, tokenised;
};

SamplingParameters sampling_for(const RunOptions& options, SamplingParameters sampling) {
  const auto set = [](auto& field, const auto& option) {
    if (option) field = *option;
  };
  if (options.greedy) {
    const float repetition_penalty = sampling.repetition_penalty;
    sampling = {};
    sampling.repetition_penalty = repetition_penalty;
  }
  set(sampling.temperature, options.temperature);
  set(sampling.top_k, options.top_k);
  set(sampling.top_p, options.top_p);
  set(sampling.min_p, options.min_p);
  set(sampling.repetition_penalty, options.repetition_penalty);
  set(sampling.frequency_penalty, options.frequency_penalty);
  set(sampling.presence_penalty, options.presence_penalty);
  sampling.seed = options.seed ? *options.seed : std::random_device{}();
  return sampling;
}

std::string prompt_text(const RunOptions& options) {
  if (options.prompt && !is_standard(*options.prompt)) return *options.prompt;
  if (!options.prompt && ::isatty(STDIN_FILENO) != 0) {
    throw Error("incipit run", "there is no prompt", "give one as an argument, with --ids, or on standard input");
  }
  // No tokenizer's tokens are anywhere near that long.
  constexpr size_t longest_token = 1024;
  const auto engine = Engine::open(options.engine);
  require_decoder(*engine);
  return read_standard_input(static_cast<size_t>(engine->plan().max_context()) * longest_token);
}

std::vector<int32_t> prompt_ids(const RunOptions& options, const std::string& text, const Gateway& gateway) {
  if (options.ids) return parse_integers(*options.ids, "--ids", 0);
  const std::vector<int32_t> ids = tokenizer_of(gateway).encode(text, {.add_special_tokens = !options.raw});
  if (ids.empty()) throw Error("prompt", "it has no tokens", "give some text");
  return ids;
}

/// All of a request but its prompt.
Request request_for(const RunOptions& options, const Gateway& gateway) {
  Request request;
  request.sampling = sampling_for(options, gateway.default_sampling());
  request.max_new_tokens = options.max_tokens;
  request.stop_texts = options.stops;
  if (options.stop_ids) request.stop_ids = parse_integers(*options.stop_ids, "--stop-ids", 0);
  return request;
}

GatewayUse use_of(const RunOptions& options) {
  return options.check || !options.batch.input.empty() ? GatewayUse::serve_checked : GatewayUse::serve;
}

std::string describe(const Outcome& outcome) {
  const Answer& answer = outcome.answer;
  if (answer.ids.empty()) return fmt::format("no token; {}", name_of(answer.finish));
  std::string line = fmt::format(
      "TTFT {:.1f} ms for {} tokens; before it: load {:.1f} ms, tokenise {:.2f} ms; first token {:.1f} ms after start",
      milliseconds(answer.submitted, answer.first), answer.prompt_tokens, milliseconds(outcome.begun, outcome.loaded),
      milliseconds(outcome.loaded, outcome.tokenised), milliseconds(outcome.begun, answer.first));
  if (answer.ids.size() > 1) {
    line += fmt::format("; then {:.1f} tokens/s ({} tokens, {})",
                        1e3 * static_cast<double>(answer.ids.size() - 1) / milliseconds(answer.first, answer.last),
                        answer.ids.size(), name_of(answer.finish));
  }
  return line;
}

boost::json::object to_json(const Outcome& outcome, const SamplingParameters& sampling) {
  const Answer& answer = outcome.answer;
  boost::json::object result{{"text", answer.text},
                             {"ids", boost::json::value_from(answer.ids)},
                             {"finish", name_of(answer.finish)},
                             {"prompt_tokens", answer.prompt_tokens},
                             {"cached_tokens", answer.cached_tokens},
                             {"seed", sampling.seed}};
  boost::json::object times{{"load", milliseconds(outcome.begun, outcome.loaded)},
                            {"tokenise", milliseconds(outcome.loaded, outcome.tokenised)}};
  if (!answer.ids.empty()) {
    times["ttft"] = milliseconds(answer.submitted, answer.first);
    times["start_to_first_token"] = milliseconds(outcome.begun, answer.first);
    times["rest"] = milliseconds(answer.first, answer.last);
  }
  result["ms"] = times;
  return result;
}

int run_files(const RunOptions& options) {
  Progress progress;
  progress.stage("loading", 0);
  const auto gateway = open_gateway(options.engine, options.threads, use_of(options));
  progress.finish();
  return run_batch(*gateway, options.batch);
}

int run_conversation(const RunOptions& options) {
  Progress progress;
  progress.stage("loading", 0);
  const auto gateway = open_gateway(options.engine, options.threads, use_of(options));
  progress.finish();
  ChatOptions chat;
  chat.system = options.system;
  chat.template_arguments = parse_template_arguments(options.template_arguments);
  chat.request = request_for(options, *gateway);
  return run_chat(*gateway, chat);
}

int run(const RunOptions& options) {
  if (options.chat) return run_conversation(options);
  if (!options.batch.input.empty()) return run_files(options);
  Outcome outcome;
  const std::string text = options.ids ? std::string() : prompt_text(options);
  check_utf8(text, "the prompt");
  outcome.begun = Answer::Clock::now();
  Progress progress;
  progress.stage("loading", 0);
  const auto gateway = open_gateway(options.engine, options.threads, use_of(options));
  if (!options.json) progress.finish();
  outcome.loaded = Answer::Clock::now();
  Request request = request_for(options, *gateway);
  request.prompt = prompt_ids(options, text, *gateway);
  outcome.tokenised = Answer::Clock::now();
  const SamplingParameters sampling = request.sampling;
  if (options.echo) print(text);
  outcome.answer = answer(*gateway, std::move(request), !options.json);
  try {
    if (!interrupted()) finish_check(*gateway);
  } catch (const Error&) {
    if (!options.json) print("\n");
    throw;
  }
  if (options.json) {
    print_json(to_json(outcome, sampling));
  } else {
    if (gateway->tokenizer() == nullptr) print(fmt::format("{}", fmt::join(outcome.answer.ids, ",")));
    print("\n");
    tell(describe(outcome));
  }
  if (interrupted()) return exit_interrupted();
  if (outcome.answer.finish == FinishReason::failed) throw Error("request", outcome.answer.failure);
  return 0;
}

/// Adds what decides the draws, in the ranges that sessions hold to; returns --temperature.
CLI::Option* add_sampling(CLI::App& command, RunOptions& options) {
  constexpr double largest = std::numeric_limits<float>::max(), smallest = std::numeric_limits<float>::min();
  CLI::Option* temperature =
      command.add_option("--temperature", options.temperature, "0: greedy (default: the model's)")
          ->transform(number_in(0, largest, "0 to 3.4e38"));
  command.add_option("--top-k", options.top_k, "Draw from the k most likely tokens; 0: all")
      ->transform(integer_from(0));
  command.add_option("--top-p", options.top_p, "Draw from the most likely tokens that make up this probability")
      ->transform(number_in(smallest, 1, "1.2e-38 to 1"));
  command.add_option("--min-p", options.min_p, "Drop tokens less likely than this share of the likeliest")
      ->transform(number_in(0, 1, "0 to 1"));
  command.add_option("--repetition-penalty", options.repetition_penalty, "1: none")
      ->transform(number_in(smallest, largest, "1.2e-38 to 3.4e38"));
  command.add_option("--frequency-penalty", options.frequency_penalty, "0: none")
      ->transform(number_in(-largest, largest, "-3.4e38 to 3.4e38"));
  command.add_option("--presence-penalty", options.presence_penalty, "0: none")
      ->transform(number_in(-largest, largest, "-3.4e38 to 3.4e38"));
  command.add_option("--seed", options.seed, "Of the draws (default: another one each time)")
      ->transform(integer_in<uint64_t>(0, UINT64_MAX));
  return temperature;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("run", "Continue a prompt");
  const auto options = std::make_shared<RunOptions>();
  add_input(*command, "ENGINE", options->engine, "An engine file")->required();
  CLI::Option* prompt = add_text(*command, "PROMPT", options->prompt,
                                 "The text to continue; none, or -: standard input; one that begins with a dash goes "
                                 "behind --");
  CLI::Option* ids = add_text(*command, "--ids", options->ids, "Token ids instead of a text, such as 1,2,3");
  ids->excludes(prompt);
  command->add_option("--max-tokens", options->max_tokens, "Most new tokens; 0: to the end of the context")
      ->transform(integer_from(0))
      ->capture_default_str();
  CLI::Option* temperature = add_sampling(*command, *options);
  command->add_option("--stop", options->stops, "End before this text; may be given several times")
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  add_text(*command, "--stop-ids", options->stop_ids, "End at any of these tokens, such as 1,2,3");
  command->add_flag("--greedy", options->greedy, "Always the likeliest token")->excludes(temperature);
  CLI::Option* raw = command->add_flag("--raw", options->raw, "Put no begin token before the text");
  add_threads(*command, options->threads);
  CLI::Option* echo = command->add_flag("--echo", options->echo, "The prompt before its continuation");
  command->add_flag("--check", options->check,
                    "Check all weights before the first token (default: behind it, as far as the run lasts)");
  CLI::Option* json = command->add_flag("--json", options->json, "One JSON object at the end instead of the text");
  CLI::Option* chat = command->add_flag("--chat", options->chat,
                                        "A conversation over the model's chat template: each line of standard input "
                                        "is a turn");
  echo->excludes(json)->excludes(ids);
  for (CLI::Option* option : {prompt, ids, raw, echo, json}) chat->excludes(option);
  add_text(*command, "--system", options->system, "What the conversation begins with")->needs(chat);
  command->add_option("--template-arg", options->template_arguments, template_argument_help)
      ->needs(chat)
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  const std::vector<CLI::Option*> of_one_prompt = command->get_options([](const CLI::Option* option) {
    const std::string& name = option->get_name();
    return name != "ENGINE" && name != "--threads" && name != "--check" && name != "--help";
  });
  CLI::Option* batch = add_input(*command, "--batch", options->batch.input,
                                 "A file of requests, one a line, in the OpenAI API's batch format; -: "
                                 "standard input; exit status 1 where every one was refused");
  CLI::Option* out = command->add_option("--out", options->batch.output,
                                         "Where the answers to --batch go; what is there already is not done again; "
                                         "-: standard output");
  batch->needs(out);
  out->needs(batch);
  for (CLI::Option* option : of_one_prompt) batch->excludes(option);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace incipit::cli
