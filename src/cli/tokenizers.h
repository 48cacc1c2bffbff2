// What tokenize and detokenize share.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace incipit {
class Tokenizer;
}

namespace incipit::cli {

/// The tokenizer of a model directory or an engine file.
std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path);

/// Calls `answer(line, name)` with each line that is not blank, and what errors call it: "standard input, line 3".
void for_each_line(std::string_view input, const std::function<void(std::string_view, const std::string&)>& answer);

}  // namespace incipit::cli
