// incipit detokenize: the text of token ids on standard input.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizers.h"
#include "text/tokenizer.h"

namespace incipit::cli {
namespace {

struct DetokenizeOptions {
  std::filesystem::path path;
  bool special = false, jsonl = false;
};

std::string text_of(const Tokenizer& tokenizer, std::string_view json, const std::string& name, bool special) {
  const boost::json::value value = parse_json(json, name);
  if (!value.is_array()) throw Error(name, "it is no JSON array", "give token ids such as [1, 15043]");
  std::vector<int32_t> ids;
  for (const boost::json::value& element : value.get_array()) {
    const int64_t* id = element.if_int64();
    if (id == nullptr || *id < 0 || *id >= static_cast<int64_t>(tokenizer.vocab_size())) {
      throw Error(name, fmt::format("element {}, {}, is no token id", ids.size(), boost::json::serialize(element)),
                  fmt::format("ids go from 0 to {}", tokenizer.vocab_size() - 1));
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return tokenizer.decode(ids, !special);
}

int detokenize(const DetokenizeOptions& options) {
  const auto tokenizer = open_tokenizer(options.path);
  const std::string input = read_standard_input();
  if (!options.jsonl) {
    print(text_of(*tokenizer, input, "standard input", options.special));
    return 0;
  }
  for_each_line(input, [&](std::string_view line, const std::string& name) {
    print_json(boost::json::string(text_of(*tokenizer, line, name, options.special)));
  });
  return 0;
}

}  // namespace

void add_detokenize(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("detokenize", "The text of a JSON array of token ids on standard input");
  const auto options = std::make_shared<DetokenizeOptions>();
  add_input(*command, "PATH", options->path, "A model directory, or an engine file")->required();
  command->add_flag("--special", options->special, "Special tokens too, spelled out (default: they are left out)");
  command->add_flag("--jsonl", options->jsonl, "Each line is an array, and each answer a JSON string in a line");
  command->callback([options, &action] { action = [options] { return detokenize(*options); }; });
}

}  // namespace incipit::cli
