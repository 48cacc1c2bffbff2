#include "tokenizer_testing.h"

#include <boost/json.hpp>

#include "base/file.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit {

std::shared_ptr<const Tokenizer> open_tables(std::vector<std::byte> tables) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(tables));
  return Tokenizer::open(*owner, owner);
}

std::shared_ptr<const Tokenizer> tokenizer_from_json(std::string_view json) {
  return open_tables(compile_tokenizer_json(json, "tokenizer.json"));
}

std::shared_ptr<const Tokenizer> classics_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer =
      open_tables(compile_tokenizer(source_path("models/classics-16m")));
  return tokenizer;
}

std::string small_tokenizer_json() {
  boost::json::object vocabulary;
  const auto add = [&](const std::string& token) {
    vocabulary.emplace(token, static_cast<int64_t>(vocabulary.size()));
  };
  for (int byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<uint8_t>(byte)));
    add(symbol);
  }
  boost::json::array merges;
  for (const auto& [left, right] :
       {std::pair("t", "h"), {"th", "e"}, {"Ġ", "the"}, {"Ġ", "t"}, {"Ã", "©"}, {"a", "a"}, {"aa", "aa"}}) {
    add(std::string(left) + right);
    merges.push_back({left, right});
  }
  const auto added = [](int64_t id, const char* text, bool special) {
    return boost::json::object{{"id", id},
                               {"content", text},
                               {"special", special},
                               {"lstrip", false},
                               {"rstrip", id == 265},
                               {"single_word", id == 266},
                               {"normalized", id == 266}};
  };
  const boost::json::object byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const boost::json::object document = {
      {"added_tokens",
       {added(263, "<s>", true), added(264, "<e>", true), added(265, "<r>", false), added(266, "word", false)}},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", " ?\\p{L}+|\\s+|[^\\s\\p{L}]+"}}}, {"behavior", "Isolated"}},
          byte_level}}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
        {"special_tokens", {{"<s>", {{"ids", boost::json::array{263}}}}}}}},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
  return boost::json::serialize(document);
}

std::string random_text(std::mt19937& random, size_t length) {
  struct Script {
    uint32_t first, last;
  };
  constexpr Script scripts[] = {{'a', 'z'},         {'A', 'Z'},          {'0', '9'},       {' ', '/'},
                                {'\t', '\r'},       {' ', ' '},          {0xa0, 0x24f},    {0x300, 0x36f},
                                {0x400, 0x4ff},     {0x600, 0x6ff},      {0x900, 0x97f},   {0x2000, 0x206f},
                                {0x3040, 0x30ff},   {0x4e00, 0x9fff},    {0xac00, 0xd7a3}, {0xe000, 0xffff},
                                {0x1f300, 0x1f6ff}, {0x10000, 0x10ffff}, {0, 0x7f}};
  std::string text;
  for (size_t i = 0; i < length;) {
    const Script script = scripts[random() % std::size(scripts)];
    for (size_t run = 1 + random() % 6; run > 0; --run, ++i) {
      append_utf8(text, script.first + static_cast<uint32_t>(random() % (script.last - script.first + 1)));
    }
  }
  return text;
}

std::string random_bytes(std::mt19937& random, size_t length) {
  std::string text = random_text(random, length);
  for (size_t count = random() % 8; count > 0 && !text.empty(); --count) {
    const size_t at = random() % text.size();
    if (random() % 2 == 0) {
      text[at] = static_cast<char>(random());
    } else {
      text.erase(at, 1 + random() % 3);
    }
  }
  return text;
}

}  // namespace incipit
