// What the configuration files beside a tokenizer say of it.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {

/// tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json and config.json of a
/// model's folder; each may be absent. All throw Error naming the file and the field.
class FolderConfig {
 public:
  explicit FolderConfig(const std::filesystem::path& directory);

  /// tokenizer_config.json's `name`, a truth value.
  bool flag(std::string_view name, bool fallback) const;
  /// tokenizer_config.json's tokenizer_class, empty when it does not say, and refused there with `remedy`.
  std::string tokenizer_class() const;
  [[noreturn]] void refuse_class(std::string_view remedy) const;

  /// Adds the tokens that tokenizer_config.json and added_tokens.json list: for tokenizers whose own files do not.
  void add_tokens(TokenizerSource& source) const;
  /// Which tokens begin and end a text; those that `source` knows stay where no file says. `tokenizer_file`: where ids
  /// must come from, for errors.
  void find_first_and_last(TokenizerSource& source, std::string_view tokenizer_file) const;

 private:
  struct Document {
    std::string path;
    boost::json::value value;
    JsonField root() const { return JsonField(value, path, ""); }
  };
  /// Null when there is no such file.
  std::unique_ptr<const Document> tokenizer_, special_tokens_, added_tokens_, generation_, model_;
};

}  // namespace incipit
