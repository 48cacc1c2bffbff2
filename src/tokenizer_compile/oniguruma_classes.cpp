#include "tokenizer_compile/oniguruma_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/ascii.h"

namespace incipit::oniguruma {

std::optional<std::string_view> members_of_name(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"alpha", R"(\p{Alphabetic})"},
      {"alphabetic", R"(\p{Alphabetic})"},
      {"digit", R"(\p{Nd})"},
      {"lower", R"(\p{Lowercase})"},
      {"lowercase", R"(\p{Lowercase})"},
      {"upper", R"(\p{Uppercase})"},
      {"uppercase", R"(\p{Uppercase})"},
      {"alnum", R"(\p{Alphabetic}\p{Nd})"},
      {"punct", R"(\p{P}\p{S})"},
      {"space", spaces},
      {"whitespace", spaces},
      {"word", words},
      {"xdigit", hexadecimals},
      {"letter", R"(\p{L})"},
      {"mark", R"(\p{M})"},
      {"number", R"(\p{N})"},
      {"punctuation", R"(\p{P})"},
      {"symbol", R"(\p{S})"},
      {"separator", R"(\p{Z})"},
      {"any", R"(\x{0}-\x{10ffff})"},
      {"emoji", R"(\p{Emoji})"},
      {"extendedpictographic", R"(\p{Extended_Pictographic})"},
  };
  for (const auto& [known_name, members] : known) {
    if (known_name == name) return members;
  }
  return std::nullopt;
}

namespace {

/// The names of general categories, each by its first letter.
bool is_category(std::string_view name) {
  constexpr std::string_view seconds[] = {"ccfnos", "llmotu", "mcen", "ndlo", "pcdefios", "sckmo", "zlps"};
  return std::any_of(std::begin(seconds), std::end(seconds), [&](std::string_view group) {
    if (name.empty() || name[0] != group[0]) return false;
    return name.size() == 1 || (name.size() == 2 && group.substr(1).find(name[1]) != std::string_view::npos);
  });
}

}  // namespace

std::optional<std::string> members_of_property(std::string_view text) {
  std::string name;  // spaces, signs and case mean nothing
  for (const char c : text) {
    if (is_ascii_letter(c))
      name += static_cast<char>(c | 0x20);
    else if (c != ' ' && c != '_' && c != '-')
      return std::nullopt;
  }
  if (name == "punct") name = "punctuation";  // the bracket of that name holds more, and that of "word" less
  if (is_category(name)) {
    name[0] = static_cast<char>(name[0] - 32);
    return fmt::format("\\p{{{}}}", name);
  }
  if (const auto members = members_of_name(name)) {
    return std::string(*members) + std::string(name == "word" ? more_words : "");
  }
  // A script: alone PCRE2 would take its extensions for it, too
  return fmt::format("\\p{{sc:{}}}", name);
}

}  // namespace incipit::oniguruma
