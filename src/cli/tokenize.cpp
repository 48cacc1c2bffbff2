// incipit tokenize: standard input as token ids.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "text/compile_tokenizer.h"
#include "text/tokenizer.h"

namespace incipit::cli {
namespace {

struct TokenizeOptions {
  std::filesystem::path path;
  bool no_special = false, jsonl = false;
};

std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    const auto tables = std::make_shared<const std::vector<std::byte>>(compile_tokenizer(path));
    return Tokenizer::open(*tables, tables);
  }
  Engine::OpenOptions open;
  open.check_features = false;  // nothing is computed
  const auto engine = Engine::open(path, open);
  if (engine->tokenizer().empty()) {
    throw Error(path.string(), "the engine has no tokenizer", "build it from a model directory with a tokenizer.json");
  }
  return Tokenizer::open(engine->tokenizer(), engine);
}

void answer(const Tokenizer& tokenizer, std::string_view text, const TokenizeOptions& options) {
  const std::vector<int32_t> ids = tokenizer.encode(text, {.add_special_tokens = !options.no_special});
  print(fmt::format("[{}]\n", fmt::join(ids, ",")));
}

/// Each line a JSON string. Blank lines are passed over.
void answer_lines(const Tokenizer& tokenizer, std::string_view input, const TokenizeOptions& options) {
  for (int64_t number = 1; !input.empty(); ++number) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(input.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string name = fmt::format("standard input, line {}", number);
    const boost::json::value value = parse_json(line, name);
    if (!value.is_string()) throw Error(name, "it is no JSON string", "give one JSON string a line");
    answer(tokenizer, std::string_view(value.get_string()), options);
  }
}

int tokenize(const TokenizeOptions& options) {
  const auto tokenizer = open_tokenizer(options.path);
  const std::string input = read_standard_input();
  options.jsonl ? answer_lines(*tokenizer, input, options) : answer(*tokenizer, input, options);
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("tokenize", "Token ids of standard input, as a JSON array");
  const auto options = std::make_shared<TokenizeOptions>();
  command->add_option("PATH", options->path, "A model directory, or an engine file")->required();
  command->add_flag("--no-special", options->no_special, "Without the tokens that the model puts around a text");
  command->add_flag("--jsonl", options->jsonl, "Each line is a JSON string, and each answer a line");
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace incipit::cli
