// tokenizer.json's `model`: a BPE vocabulary and its merges.
#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_tables.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// The two halves of one entry: "a b" or ["a", "b"].
bool read_pair(const boost::json::value& entry, const TokenizerSource& source, std::string_view& left,
               std::string_view& right) {
  if (const boost::json::string* text = entry.if_string()) {
    if (!split_merge({text->data(), text->size()}, source, left, right)) return false;
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
    if (!read_pair((*array)[i], source, left, right)) {
      throw Error(merges.file(), fmt::format("{}[{}] is not a pair of tokens", merges.path(), i));
    }
    std::string missing;
    if (!add_merge(left, right, source, missing)) {
      throw Error(merges.file(),
                  fmt::format("{}[{}] needs \"{}\", which is not in model.vocab", merges.path(), i, missing));
    }
  }
}

void refuse_unless_empty(const JsonField& model, std::string_view name) {
  const auto field = model.find(name);
  if (field && !field->string().empty()) field->refuse("is set, which is not supported");
}

/// What becomes of characters that a vocabulary of characters lacks.
void read_fallbacks(const JsonField& model, TokenizerSource& source) {
  if (const auto unknown = model.find("unk_token")) {
    source.unknown_id = source.find(unknown->string());
    if (!source.unknown_id) unknown->refuse(fmt::format("is \"{}\", which is not in model.vocab", unknown->string()));
  }
  source.fuse_unknown = model.flag("fuse_unk", false);
  if (!model.flag("byte_fallback", false)) return;
  for (int byte = 0; byte < 256; ++byte) {
    source.byte_ids[static_cast<size_t>(byte)] = source.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

}  // namespace

void read_vocabulary(const JsonField& vocabulary, TokenizerSource& source) {
  const boost::json::object* object = vocabulary.value().if_object();
  if (object == nullptr) vocabulary.refuse("is not an object");
  if (object->empty()) vocabulary.refuse("is empty");
  source.ids.reserve(object->size());
  source.vocabulary_size = static_cast<int32_t>(std::min<size_t>(object->size(), max_vocabulary));
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
    token.spelling = spelling;
    token.merged = !spelling.empty();
    if (source.unit == MergeUnit::bytes) {
      std::optional<std::string> bytes = bytes_of_symbols(spelling);
      token.merged = bytes.has_value() && !bytes->empty();
      if (bytes) token.spelling = *std::move(bytes);
    }
    source.ids.emplace(spelling, static_cast<int32_t>(*id));
  }
}

bool split_merge(std::string_view line, const TokenizerSource& source, std::string_view& left,
                 std::string_view& right) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) return false;
  const bool ambiguous = line.find(' ', first + 1) != std::string_view::npos;
  size_t found = 0;
  // Copies of published vocabularies have spaces in tokens where there were non-breaking ones.
  for (size_t at = first; at != std::string_view::npos; at = line.find(' ', at + 1)) {
    const std::string_view before = line.substr(0, at), behind = line.substr(at + 1);
    if (ambiguous &&
        !(source.find(before) && source.find(behind) && source.find(std::string(before) + std::string(behind)))) {
      continue;
    }
    left = before;
    right = behind;
    ++found;
  }
  return found == 1 && !left.empty() && !right.empty();
}

bool add_merge(std::string_view left, std::string_view right, TokenizerSource& source, std::string& missing) {
  const std::string first(left), second(right), whole = first + second;
  for (const std::string& token : {first, second, whole}) {
    if (!source.ids.contains(token)) {
      missing = token;
      return false;
    }
  }
  source.merges.push_back({source.ids[first], source.ids[second], static_cast<uint32_t>(source.merge_results.size())});
  source.merge_results.push_back(source.ids[whole]);
  return true;
}

bool find_byte_ids(TokenizerSource& source) {
  bool complete = true;
  for (int byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<uint8_t>(byte)));
    const std::optional<int32_t> id = source.find(symbol);
    source.byte_ids[static_cast<size_t>(byte)] = id.value_or(-1);
    complete &= id.has_value();
  }
  return complete;
}

int64_t id_limit(size_t tokens) {
  // Published vocabularies have gaps of a few hundred ids at most.
  constexpr int64_t gap_limit = 1 << 14;
  return std::min<int64_t>(max_vocabulary, static_cast<int64_t>(2 * tokens) + gap_limit);
}

int32_t read_id(const JsonField& field) { return static_cast<int32_t>(field.integer(0, max_vocabulary - 1)); }

void read_model(const JsonField& root, TokenizerSource& source) {
  const JsonField model = root.at("model");
  if (const auto type = model.find("type"); type && type->string() != "BPE") {
    type->refuse(fmt::format("is {}, which is not supported", type->string()), "BPE is");
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

  if (source.unit == MergeUnit::characters) {
    read_fallbacks(model, source);
  } else if (!find_byte_ids(source)) {  // with a token for every byte there is nothing unknown to stand in for
    if (model.find("unk_token")) model.refuse("has an unk_token and lacks single bytes, which is not supported");
    if (model.flag("byte_fallback", false)) {
      model.refuse("has byte_fallback and lacks single bytes, which is not supported");
    }
  }
}

}  // namespace incipit
