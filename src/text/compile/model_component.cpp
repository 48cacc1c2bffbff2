// tokenizer.json's `model`: a byte-level BPE vocabulary and its merges.
#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"
#include "text/tokenizer_tables.h"
#include "text/utf8.h"

namespace incipit {
namespace {

void read_vocabulary(const JsonField& vocabulary, TokenizerSource& source) {
  const boost::json::object* object = vocabulary.value().if_object();
  if (object == nullptr) vocabulary.refuse("is not an object");
  if (object->empty()) vocabulary.refuse("is empty");
  source.ids.reserve(object->size());
  const int64_t limit = id_limit(object->size());
  for (const auto& [key, value] : *object) {
    const std::string_view spelling(key.data(), key.size());
    const int64_t* id = value.if_int64();
    if (id == nullptr || *id < 0 || *id >= limit) {
      vocabulary.refuse(fmt::format("gives \"{}\" an id that is no integer from 0 to {}", spelling, limit - 1));
    }
    TokenizerSource::Token& token = source.token(static_cast<int32_t>(*id));
    if (token.present) vocabulary.refuse(fmt::format("gives the id {} twice, to \"{}\" and another", *id, spelling));
    token.present = true;
    std::optional<std::string> bytes = bytes_of_symbols(spelling);
    token.byte_level = bytes.has_value() && !bytes->empty();
    token.bytes = bytes ? *std::move(bytes) : std::string(spelling);
    source.ids.emplace(spelling, static_cast<int32_t>(*id));
  }
}

/// The two halves of one entry: "a b" or ["a", "b"].
bool read_pair(const boost::json::value& entry, std::string_view& left, std::string_view& right) {
  if (const boost::json::string* text = entry.if_string()) {
    const std::string_view line(text->data(), text->size());
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) return false;
    left = line.substr(0, space);
    right = line.substr(space + 1);
  } else {
    const boost::json::array* pair = entry.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) return false;
    const boost::json::string& first = (*pair)[0].get_string();
    const boost::json::string& second = (*pair)[1].get_string();
    left = {first.data(), first.size()};
    right = {second.data(), second.size()};
  }
  return !left.empty() && !right.empty();
}

void read_merges(const JsonField& merges, TokenizerSource& source) {
  const boost::json::array* array = merges.value().if_array();
  if (array == nullptr) merges.refuse("is not a list");
  if (array->size() > max_merges) merges.refuse(fmt::format("has {} entries, more than {}", array->size(), max_merges));
  source.merges.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    std::string_view left, right;
    if (!read_pair((*array)[i], left, right)) {
      throw Error(merges.file(), fmt::format("{}[{}] is not a pair of tokens", merges.path(), i));
    }
    const auto id_of = [&](const std::string& token) {
      const auto found = source.ids.find(token);
      if (found == source.ids.end()) {
        throw Error(merges.file(),
                    fmt::format("{}[{}] needs \"{}\", which is not in model.vocab", merges.path(), i, token));
      }
      return found->second;
    };
    const std::string first(left), second(right);
    source.merges.push_back({id_of(first), id_of(second), id_of(first + second)});
  }
}

void refuse_unless_empty(const JsonField& model, std::string_view name) {
  const auto field = model.find(name);
  if (field && !field->string().empty()) field->refuse("is set, which is not supported");
}

}  // namespace

int64_t id_limit(size_t tokens) {
  // Published vocabularies have gaps of a few hundred ids at most.
  constexpr int64_t gap_limit = 1 << 14;
  return std::min<int64_t>(max_vocabulary, static_cast<int64_t>(2 * tokens) + gap_limit);
}

int32_t read_id(const JsonField& field) { return static_cast<int32_t>(field.integer(0, max_vocabulary - 1)); }

void read_model(const JsonField& root, TokenizerSource& source) {
  const JsonField model = root.at("model");
  if (const auto type = model.find("type"); type && type->string() != "BPE") {
    type->refuse(fmt::format("is {}, which is not supported", type->string()), "byte-level BPE is");
  }
  refuse_unless_empty(model, "continuing_subword_prefix");
  refuse_unless_empty(model, "end_of_word_suffix");
  if (const auto dropout = model.find("dropout")) {
    const bool zero = dropout->value().is_number() && dropout->value().to_number<double>() == 0;
    if (!zero) dropout->refuse("is set, which makes ids random and is not supported", "set it to null");
  }
  read_vocabulary(model.at("vocab"), source);
  read_merges(model.at("merges"), source);
  source.ignore_merges = model.flag("ignore_merges", false);

  bool complete = true;
  for (int byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<uint8_t>(byte)));
    const auto found = source.ids.find(symbol);
    source.byte_ids[byte] = found == source.ids.end() ? -1 : found->second;
    complete &= found != source.ids.end();
  }
  // With a token for every byte there is nothing unknown to stand in for.
  if (!complete) {
    if (model.find("unk_token")) model.refuse("has an unk_token and lacks single bytes, which is not supported");
    if (model.flag("byte_fallback", false)) {
      model.refuse("has byte_fallback and lacks single bytes, which is not supported");
    }
  }
}

}  // namespace incipit
