#include "tokenizer_compile/compile_tokenizer.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "tokenizer_compile/folder_config.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

constexpr std::string_view save_tokenizer_json =
    "save a tokenizer.json beside the model with transformers' AutoTokenizer.save_pretrained";

/// `config`: what lies beside the file, or nothing.
TokenizerSource read_tokenizer(std::string_view json, std::string_view name, const FolderConfig* config) {
  const boost::json::value document = parse_json(json, name);
  const JsonField root(document, name, "");
  TokenizerSource source;
  read_normalizer(root, source);
  read_pre_tokenizer(root, source);
  read_model(root, source);
  read_added_tokens(root, source);
  if (config != nullptr) config->add_tokens(source, AddedTokenIds::of_the_tokenizer);
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

/// What the tokenizer's own file says, before any configuration is asked.
FolderConfig::Ends own_ends(const TokenizerSource& source) {
  FolderConfig::Ends ends{source.bos_id, std::nullopt};
  if (!source.eos_ids.empty()) ends.eos = source.eos_ids.front();
  return ends;
}

/// Puts the tokens that the configuration names, or else `own`, around a text where the configuration wants them.
void put_around_as_configured(const FolderConfig& config, bool add_bos, const FolderConfig::Ends& own,
                              TokenizerSource& source) {
  const FolderConfig::Ends named = config.named_ends(source);
  const int32_t bos = named.bos.value_or(own.bos.value_or(-1)), eos = named.eos.value_or(own.eos.value_or(-1));
  if (bos >= 0 && config.flag("add_bos_token", add_bos)) source.prefix_ids.push_back(bos);
  if (eos >= 0 && config.flag("add_eos_token", false)) source.suffix_ids.push_back(eos);
}

/// Source: transformers 5.17, which takes no add_bos_token from a configuration beside a tokenizer.json, and whose
/// classes for GPT-NeoX and Code Llama make a post-processor of their own.
TokenizerSource read_json_folder(const std::filesystem::path& path, const FolderConfig& config) {
  TokenizerSource source = read_tokenizer(read_text_file(path), path.string(), &config);
  config.find_first_and_last(source, path.filename().string());
  const std::string name = plain_class(config.tokenizer_class());
  if (name == "GPTNeoXTokenizer" || name == "CodeLlamaTokenizer") {
    source.prefix_ids.clear();
    source.suffix_ids.clear();
  }
  if (name == "CodeLlamaTokenizer") {
    const FolderConfig::Ends named = config.named_ends(source);
    if (const auto bos = named.bos ? named.bos : source.find("<s>")) source.prefix_ids.push_back(*bos);
  }
  return source;
}

TokenizerSource read_sentencepiece_folder(const std::filesystem::path& path, const FolderConfig& config) {
  SentencePieceOptions options;
  options.legacy = config.flag("legacy", true);
  options.prefix_space = config.flag("add_prefix_space", true);
  TokenizerSource source = read_sentencepiece(read_text_file(path), path.string(), options);
  config.add_tokens(source, AddedTokenIds::of_the_configuration);
  decode_metaspace(source);
  put_around_as_configured(config, true, own_ends(source), source);
  config.find_first_and_last(source, path.filename().string());
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
  config.add_tokens(source, AddedTokenIds::of_the_configuration);
  decode_byte_level(source);
  put_around_as_configured(config, false, own_ends(source), source);
  config.find_first_and_last(source, vocabulary.filename().string());
  return source;
}

}  // namespace

bool has_tokenizer(const std::filesystem::path& model_directory) {
  const auto there = [&](const char* name) { return is_there(model_directory / name); };
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
  if (is_there(json)) return write_tables(read_json_folder(json, config), json.string());
  if (is_there(sentencepiece)) {
    return write_tables(read_sentencepiece_folder(sentencepiece, config), sentencepiece.string());
  }
  return write_tables(read_merges_folder(vocabulary, merges, config), vocabulary.string());
}

std::vector<std::byte> compile_tokenizer_json(std::string_view json, std::string_view name) {
  return write_tables(read_tokenizer(json, name, nullptr), name);
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
