// tokenizer.json's `decoder`: what each token adds to a text is worked out here, but for the text's beginning.
// Source: Hugging Face tokenizers, decoders/*.rs.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/oniguruma.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// A token on its way through a decoder; as one byte it is a text no more.
struct Decoded {
  std::string text;
  bool is_byte = false;
};

using TokenRule = std::function<void(Decoded&)>;

TokenRule replace_rule(std::string pattern, std::string content) {
  return [pattern = std::move(pattern), content = std::move(content)](Decoded& token) {
    if (!token.is_byte) token.text = replace_literal(token.text, pattern, content);
  };
}

/// "<0x0A>" is the byte 10.
void make_byte(Decoded& token) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  const std::string& text = token.text;
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>' || digit(text[3]) < 0 || digit(text[4]) < 0)
    return;
  token.text = std::string(1, static_cast<char>(digit(text[3]) * 16 + digit(text[4])));
  token.is_byte = true;
}

void give_bytes(const std::vector<TokenRule>& rules, std::string_view file, TokenizerSource& source) {
  const auto give = [&](const std::string& text, int32_t id) {
    Decoded token{text, false};
    for (const TokenRule& rule : rules) {
      rule(token);
      if (token.text.size() > 64 * (text.size() + 1)) throw Error(file, "its decoder makes a token too long");
    }
    source.token(id).bytes = std::move(token.text);
  };
  for (const auto& [text, id] : source.ids) give(text, id);
  // These stand for what they were found as, which may have a space before it.
  for (const TokenizerSource::AddedToken& added : source.added) give(added.text, added.id);
}

class DecoderReader {
 public:
  explicit DecoderReader(TokenizerSource& source) : source_(source) {}

  void read(const JsonField& field) {
    const std::string_view type = field.at("type").string();
    if (type == "Sequence") {
      field.at("decoders").each([&](const JsonField& part) { read(part); });
      return;
    }
    const bool bytes = source_.unit == MergeUnit::bytes;
    if (type == "Fuse" && (!bytes || byte_levels_ > 0)) {
      fused_ = true;
    } else if (type == "ByteLevel" && bytes) {
      ++byte_levels_;
    } else if (type == "Strip" && !bytes) {
      read_strip(field);
    } else if (type == "Replace" && !bytes && !fused_) {
      read_replace(field);
    } else if (type == "ByteFallback" && !bytes && !fused_) {
      rules_.push_back(make_byte);
    } else if (type == "Metaspace" && !bytes && !fused_ && rules_.empty()) {
      read_metaspace(field);
    } else {
      field.refuse(fmt::format("is of type {}, which is not supported{}", type, fused_ ? " behind Fuse" : ""),
                   bytes ? "ByteLevel is" : "Replace, ByteFallback, Metaspace, Fuse and Strip are");
    }
  }

  int byte_levels() const { return byte_levels_; }
  const std::vector<TokenRule>& rules() const { return rules_; }

 private:
  void read_strip(const JsonField& field) {
    const JsonField content = field.at("content");
    const std::string character(content.string());
    if (character.size() != 1) content.refuse("is not one ASCII character, which is not supported");
    const auto start = static_cast<uint32_t>(field.at("start").integer(0, 1 << 20));
    const auto stop = static_cast<size_t>(field.at("stop").integer(0, 1 << 20));
    if (!fused_) {
      rules_.push_back([character, start, stop](Decoded& token) {
        if (token.is_byte) return;
        std::string& text = token.text;
        for (size_t n = 0; n < start && text.starts_with(character); ++n) text.erase(0, 1);
        for (size_t n = 0; n < stop && text.ends_with(character); ++n) text.pop_back();
      });
      return;
    }
    // What has been given out cannot be taken back.
    if (stop > 0) field.refuse("takes characters from a text's end, which is not supported");
    if (source_.stripped_count > 0) field.refuse("is a second Strip behind Fuse, which is not supported");
    source_.stripped_count = start;
    source_.stripped_byte = static_cast<uint8_t>(character[0]);
  }

  void read_replace(const JsonField& field) {
    const JsonField pattern = field.at("pattern");
    std::string content(field.at("content").string());
    if (const auto literal = pattern.find("String")) {
      if (literal->string().empty()) literal->refuse("is empty");
      rules_.push_back(replace_rule(std::string(literal->string()), std::move(content)));
      return;
    }
    const JsonField regex = pattern.at("Regex");
    const std::string thing = fmt::format("{}: {}", field.file(), regex.path());
    const auto compiled = std::make_shared<const Regex>(pcre2_pattern_from_oniguruma(regex.string(), thing), thing);
    rules_.push_back([compiled, content = std::move(content)](Decoded& token) {
      if (!token.is_byte) token.text = replace_matches(*compiled, token.text, content);
    });
  }

  void read_metaspace(const JsonField& field) {
    rules_.push_back(replace_rule(std::string(field.at("replacement").string()), " "));
    source_.bare_first_token = metaspace_scheme(field) != PreTokenizerStepKind::metaspace_never;
  }

  TokenizerSource& source_;
  std::vector<TokenRule> rules_;
  bool fused_ = false;
  int byte_levels_ = 0;
};

}  // namespace

void read_decoder(const JsonField& root, TokenizerSource& source) {
  DecoderReader reader(source);
  const auto field = root.find("decoder");
  if (field) reader.read(*field);
  if (source.unit == MergeUnit::bytes) {
    if (reader.byte_levels() != 1) root.refuse("does not have exactly one ByteLevel in its decoder");
    decode_byte_level(source);
  } else {
    // Without one, the source puts spaces between all tokens.
    if (!field) root.refuse("has no decoder, which is not supported");
    give_bytes(reader.rules(), root.file(), source);
  }
}

void decode_byte_level(TokenizerSource& source) {
  // Spelled in symbols for bytes if it can be, itself otherwise: so added tokens keep their text.
  give_bytes({[](Decoded& token) { token.text = bytes_of_symbols(token.text).value_or(token.text); }}, {}, source);
}

void decode_metaspace(TokenizerSource& source) {
  give_bytes({replace_rule(std::string(metaspace), " "), make_byte}, {}, source);
}

}  // namespace incipit
