#include "cli/tokenizers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/error.h"
#include "base/paths.h"
#include "engine/engine.h"
#include "text/tokenizer.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit::cli {

std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  if (is_a_directory(path)) {
    const auto tables = std::make_shared<const std::vector<std::byte>>(compile_tokenizer(path));
    return Tokenizer::open(*tables, tables);
  }
  Engine::OpenOptions open;
  open.check_target = false;  // nothing is computed
  const auto engine = Engine::open(path, open);
  if (engine->tokenizer().empty()) {
    throw Error(path.string(), "the engine has no tokenizer", "build it from a model directory with a tokenizer.json");
  }
  return Tokenizer::open(engine->tokenizer(), engine);
}

void for_each_line(std::string_view input, const std::function<void(std::string_view, const std::string&)>& answer) {
  for (int64_t number = 1; !input.empty(); ++number) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(input.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      answer(line, fmt::format("standard input, line {}", number));
    }
  }
}

}  // namespace incipit::cli
