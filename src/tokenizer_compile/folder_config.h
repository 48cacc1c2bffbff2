// What the configuration files beside a tokenizer say of it.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {

/// tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json and config.json of a
/// model's folder; each may be absent. All throw Error naming the file and the field.
/// Which ids tokens have that a configuration adds: those it gives, or (as with a tokenizer.json) the next free ones.
enum class AddedTokenIds : uint8_t { of_the_configuration, of_the_tokenizer };

class FolderConfig {
 public:
  explicit FolderConfig(const std::filesystem::path& directory);

  /// tokenizer_config.json's `name`, a truth value.
  bool flag(std::string_view name, bool fallback) const;
  /// tokenizer_config.json's tokenizer_class, empty when it does not say, and refused there with `remedy`.
  std::string tokenizer_class() const;
  [[noreturn]] void refuse_class(std::string_view remedy) const;

  /// Adds the tokens that tokenizer_config.json and added_tokens.json list and the tokenizer's own file does not; of
  /// those in both the configuration says how they are found. Makes those special that are named as such.
  void add_tokens(TokenizerSource& source, AddedTokenIds ids) const;
  /// Which tokens begin and end a text; those that `source` knows stay where no file says. `tokenizer_file`: where ids
  /// must come from, for errors.
  void find_first_and_last(TokenizerSource& source, std::string_view tokenizer_file) const;

  /// What tokenizer_config.json names as bos_token and eos_token, and special_tokens_map.json: that one's word holds,
  /// unless the other has an added_tokens_decoder, with which it is complete.
  struct Ends {
    std::optional<int32_t> bos, eos;
  };
  Ends named_ends(const TokenizerSource& source) const;

 private:
  struct Document {
    std::string path;
    boost::json::value value;
    JsonField root() const { return JsonField(value, path, ""); }
  };
  void add_listed(const JsonField& list, TokenizerSource& source, AddedTokenIds ids) const;
  void add_named(const JsonField& root, TokenizerSource& source, AddedTokenIds ids) const;
  bool has_decoder() const;
  /// Null when there is no such file.
  std::unique_ptr<const Document> tokenizer_, special_tokens_, added_tokens_, generation_, model_;
};

}  // namespace incipit
