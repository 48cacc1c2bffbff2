// incipit tokenize: standard input as token ids.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizers.h"
#include "text/tokenizer.h"

namespace incipit::cli {
namespace {

struct TokenizeOptions {
  std::filesystem::path path;
  bool no_special = false, jsonl = false;
};

void answer(const Tokenizer& tokenizer, std::string_view text, const std::string& name,
            const TokenizeOptions& options) {
  EncodeOptions encode;
  encode.add_special_tokens = !options.no_special;
  encode.name = name;
  print(fmt::format("[{}]\n", fmt::join(tokenizer.encode(text, encode), ",")));
}

int tokenize(const TokenizeOptions& options) {
  const auto tokenizer = open_tokenizer(options.path);
  const std::string input = read_standard_input();
  check_utf8(input, "standard input");
  if (!options.jsonl) {
    answer(*tokenizer, input, "standard input", options);
    return 0;
  }
  for_each_line(input, [&](std::string_view line, const std::string& name) {
    const boost::json::value value = parse_json(line, name);
    if (!value.is_string()) throw Error(name, "it is no JSON string", "give one JSON string a line");
    answer(*tokenizer, std::string_view(value.get_string()), name, options);
  });
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("tokenize", "Token ids of standard input, as a JSON array");
  const auto options = std::make_shared<TokenizeOptions>();
  add_input(*command, "PATH", options->path, "A model directory, or an engine file")->required();
  command->add_flag("--no-special", options->no_special, "Without the tokens that the model puts around a text");
  command->add_flag("--jsonl", options->jsonl, "Each line is a JSON string, and each answer a line");
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace incipit::cli
