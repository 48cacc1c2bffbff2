// incipit compare: how far an engine's distributions are from another's of the same model, on a text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "measure/compare_engines.h"

namespace incipit::cli {
namespace {

struct CompareCommand {
  std::filesystem::path reference, other, text;
  CompareOptions compared;
  int32_t max_tokens = 0, worst = 5;
  int threads = 0;
  bool json = false;
};

/// In one line, whatever is in it.
std::string passage_text(const Tokenizer& tokenizer, std::span<const int32_t> tokens,
                         const EngineComparison::Passage& passage) {
  const std::string text =
      tokenizer.decode(tokens.subspan(static_cast<size_t>(passage.first), static_cast<size_t>(passage.tokens)), false);
  std::string whole;
  append_lossy_utf8(whole, text, true);
  return boost::json::serialize(boost::json::value(whole));
}

void print_lines(const EngineComparison& found, int32_t window, const Tokenizer& tokenizer,
                 std::span<const int32_t> tokens) {
  std::string lines =
      fmt::format("perplexity    {:.4f} and {:.4f} ({:+.2f} %), over {} tokens in windows of {}\n",
                  found.reference_perplexity, found.perplexity, found.change() * 100, found.tokens, window);
  lines +=
      fmt::format("KL            mean {:.3g}, p99 {:.3g}, max {:.3g}\n", found.mean_kl, found.p99_kl, found.most_kl);
  lines += fmt::format("first choice  the same for {} of {} tokens ({:.2f} %)\n", found.same_choice, found.tokens,
                       100.0 * static_cast<double>(found.same_choice) / static_cast<double>(found.tokens));
  for (const EngineComparison::Passage& passage : found.worst) {
    lines += fmt::format("worst         KL {:.3g} from token {}: {}\n", passage.mean_kl, passage.first,
                         passage_text(tokenizer, tokens, passage));
  }
  print(lines);
}

void print_object(const CompareCommand& command, const EngineComparison& found, const Tokenizer& tokenizer,
                  std::span<const int32_t> tokens) {
  boost::json::array worst;
  for (const EngineComparison::Passage& passage : found.worst) {
    worst.push_back({{"kl", passage.mean_kl},
                     {"first", passage.first},
                     {"tokens", passage.tokens},
                     {"text", boost::json::parse(passage_text(tokenizer, tokens, passage))}});
  }
  print_json({{"reference", command.reference.string()},
              {"engine", command.other.string()},
              {"text", command.text.string()},
              {"window", command.compared.window},
              {"tokens", found.tokens},
              {"reference_perplexity", found.reference_perplexity},
              {"perplexity", found.perplexity},
              {"change", found.change()},
              {"kl_mean", found.mean_kl},
              {"kl_p99", found.p99_kl},
              {"kl_max", found.most_kl},
              {"same_choice", found.same_choice},
              {"worst", worst}});
}

int compare(const CompareCommand& command) {
  const std::string text = read_utf8_text(command.text);
  const auto reference = open_gateway(command.reference, command.threads, GatewayUse::evaluate);
  const auto other = open_gateway(command.other, command.threads, GatewayUse::evaluate);
  const std::vector<int32_t> tokens = tokens_of_text(text, command.text, *reference, command.max_tokens);
  CompareOptions options = command.compared;
  options.worst = static_cast<size_t>(command.worst);
  Progress progress;
  progress.stage("comparing", static_cast<int64_t>(tokens.size()) / options.window * options.window, "tokens");
  const EngineComparison found = of_text(command.text, [&] {
    return compare_engines(*reference, *other, tokens, options, [&](int64_t count) { progress.advance(count); });
  });
  progress.finish();
  const Tokenizer& tokenizer = tokenizer_of(*reference);
  command.json ? print_object(command, found, tokenizer, tokens)
               : print_lines(found, options.window, tokenizer, tokens);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "How far an engine is from another of the same model on a text: perplexities, KL divergence of what each "
      "predicts, the share of tokens for which both find the same the likeliest, and where they differ most");
  const auto options = std::make_shared<CompareCommand>();
  add_input(*command, "REFERENCE", options->reference, "The engine that is held to be right, such as one in f32")
      ->required();
  add_input(*command, "ENGINE", options->other, "The engine that is judged")->required();
  add_input(*command, "--text", options->text, "A UTF-8 text file; -: standard input")->required();
  command->add_option("--max-tokens", options->max_tokens, "Use no more of the text's tokens")
      ->transform(integer_from(1));
  command->add_option("--window", options->compared.window, "Tokens of a window")
      ->transform(integer_in(2, 1 << 30))
      ->capture_default_str();
  command->add_option("--worst", options->worst, "Passages to show")
      ->transform(integer_in(0, 1000))
      ->capture_default_str();
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return compare(*options); }; });
}

}  // namespace incipit::cli
