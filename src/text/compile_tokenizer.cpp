#include "text/compile_tokenizer.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/compile/folder_config.h"
#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {
namespace {

constexpr std::string_view save_tokenizer_json =
    "save a tokenizer.json beside the model with transformers' AutoTokenizer.save_pretrained";

TokenizerSource read_tokenizer(std::string_view json, std::string_view name) {
  const boost::json::value document = parse_json(json, name);
  const JsonField root(document, name, "");
  TokenizerSource source;
  read_normalizer(root, source);
  read_pre_tokenizer(root, source);
  read_model(root, source);
  read_added_tokens(root, source);
  read_post_processor(root, source);
  read_decoder(root, source);
  return source;
}

/// The class by its name in transformers, which says it with and without Fast.
std::string plain_class(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

MergesScheme scheme_of(const FolderConfig& config) {
  const std::string name = plain_class(config.tokenizer_class());
  if (name == "GPT2Tokenizer" || name == "CodeGenTokenizer" || name == "GPTNeoXTokenizer") return MergesScheme::gpt2;
  if (name == "Qwen2Tokenizer") return MergesScheme::qwen2;
  // These say nothing of it.
  if (name.empty() || name == "PreTrainedTokenizer" || name == "TokenizersBackend") return MergesScheme::by_vocabulary;
  config.refuse_class(save_tokenizer_json);
}

void put_around(bool bos, bool eos, TokenizerSource& source) {
  if (bos && source.bos_id) source.prefix_ids = {*source.bos_id};
  if (eos && !source.eos_ids.empty()) source.suffix_ids = {source.eos_ids.front()};
}

TokenizerSource read_json_folder(const std::filesystem::path& path, const FolderConfig& config) {
  TokenizerSource source = read_tokenizer(read_text_file(path), path.string());
  config.find_first_and_last(source, path.filename().string());
  // Classes that put these themselves, so that the file need not say it. Source: transformers' LlamaTokenizerFast.
  const std::string name = plain_class(config.tokenizer_class());
  if (!source.has_template && (name == "LlamaTokenizer" || name == "CodeLlamaTokenizer" || name == "GemmaTokenizer")) {
    put_around(config.flag("add_bos_token", true), config.flag("add_eos_token", false), source);
  }
  return source;
}

TokenizerSource read_sentencepiece_folder(const std::filesystem::path& path, const FolderConfig& config) {
  SentencePieceOptions options;
  options.legacy = config.flag("legacy", true);
  options.prefix_space = config.flag("add_prefix_space", true);
  TokenizerSource source = read_sentencepiece(read_text_file(path), path.string(), options);
  config.add_tokens(source);
  decode_metaspace(source);
  config.find_first_and_last(source, path.filename().string());
  put_around(config.flag("add_bos_token", true), config.flag("add_eos_token", false), source);
  return source;
}

TokenizerSource read_merges_folder(const std::filesystem::path& vocabulary, const std::filesystem::path& merges,
                                   const FolderConfig& config) {
  const std::string vocabulary_text = read_text_file(vocabulary), vocabulary_name = vocabulary.string();
  const std::string merges_text = read_text_file(merges), merges_name = merges.string();
  TokenizerSource source = read_vocabulary_and_merges({vocabulary_text, vocabulary_name, merges_text, merges_name},
                                                      scheme_of(config), config.flag("add_prefix_space", false));
  // GPT-2's one special token, which its files do not call so.
  constexpr const char* end_of_text = "<|endoftext|>";
  make_special(end_of_text, source);
  if (const auto id = source.find(end_of_text)) {
    source.bos_id = *id;
    source.eos_ids = {*id};
  }
  config.add_tokens(source);
  decode_byte_level(source);
  config.find_first_and_last(source, vocabulary.filename().string());
  put_around(config.flag("add_bos_token", false), config.flag("add_eos_token", false), source);
  return source;
}

}  // namespace

bool has_tokenizer(const std::filesystem::path& model_directory) {
  const auto there = [&](const char* name) { return std::filesystem::exists(model_directory / name); };
  return there("tokenizer.json") || there("tokenizer.model") || (there("vocab.json") && there("merges.txt"));
}

std::vector<std::byte> compile_tokenizer(const std::filesystem::path& model_directory) {
  const std::filesystem::path json = model_directory / "tokenizer.json";
  const std::filesystem::path sentencepiece = model_directory / "tokenizer.model";
  const std::filesystem::path vocabulary = model_directory / "vocab.json";
  const std::filesystem::path merges = model_directory / "merges.txt";
  if (!has_tokenizer(model_directory)) {
    throw Error(json.string(), "it is not there, nor is a tokenizer.model, nor vocab.json with merges.txt",
                "save it beside the model with transformers' AutoTokenizer.save_pretrained");
  }
  const FolderConfig config(model_directory);
  if (std::filesystem::exists(json)) return write_tables(read_json_folder(json, config), json.string());
  if (std::filesystem::exists(sentencepiece)) {
    return write_tables(read_sentencepiece_folder(sentencepiece, config), sentencepiece.string());
  }
  return write_tables(read_merges_folder(vocabulary, merges, config), vocabulary.string());
}

std::vector<std::byte> compile_tokenizer_json(std::string_view json, std::string_view name) {
  return write_tables(read_tokenizer(json, name), name);
}

std::vector<std::byte> compile_sentencepiece(std::string_view model, std::string_view name) {
  TokenizerSource source = read_sentencepiece(model, name, {});
  decode_metaspace(source);
  return write_tables(source, name);
}

std::vector<std::byte> compile_merges(std::string_view vocabulary, std::string_view merges) {
  TokenizerSource source =
      read_vocabulary_and_merges({vocabulary, "vocab.json", merges, "merges.txt"}, MergesScheme::by_vocabulary, false);
  decode_byte_level(source);
  return write_tables(source, "vocab.json");
}

}  // namespace incipit
