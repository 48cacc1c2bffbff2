// The small files of a Hugging Face checkpoint: config.json and, beside it, generation_config.json,
// tokenizer_config.json and chat_template.jinja. Older forms of an option are read as their newer ones.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// Options by name, checked as they are read: every fault is an Error such as
/// "models/x/config.json: num_attention_heads is 0; it must lie in [1, 16384]". An option that is null counts as
/// absent.
class HfConfig {
 public:
  /// Throws Error when config.json is missing or any of the files is no JSON object.
  static HfConfig read(const std::filesystem::path& directory);
  /// From the texts of config.json and generation_config.json; `name` stands for the path of the first in errors.
  static HfConfig parse(std::string name, std::string_view config, std::string_view generation = "{}");
  ~HfConfig();
  HfConfig(HfConfig&&) noexcept;
  HfConfig& operator=(HfConfig&&) noexcept;

  const std::string& name() const { return name_; }
  /// What a message calls an option: "rope_parameters.rope_theta".
  std::string full_key(std::string_view key) const { return prefix_ + std::string(key); }
  /// "LlamaForCausalLM": the only entry of `architectures`.
  std::string architecture() const;

  bool has(std::string_view key) const;
  /// Something stands there, be it null: for architectures that take another default where nothing does.
  bool mentions(std::string_view key) const;
  /// An integer of [minimum, maximum]; the first form throws Error where it is absent.
  int64_t integer(std::string_view key, int64_t minimum, int64_t maximum) const;
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const;
  /// A finite number.
  double number(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool flag(std::string_view key, bool fallback) const;
  std::string text_or(std::string_view key, std::string_view fallback) const;
  /// A list of strings; empty where absent.
  std::vector<std::string> texts(std::string_view key) const;
  /// A list of finite numbers; empty where absent.
  std::vector<double> numbers(std::string_view key) const;
  /// An object as a config of its own, whose errors say "KEY.…"; an empty one where absent.
  HfConfig object(std::string_view key) const;
  bool is_object(std::string_view key) const;
  bool is_list(std::string_view key) const;
  /// What has a value, in the file's order.
  std::vector<std::string> keys() const;
  /// Whether both say the same.
  bool same_as(const HfConfig& other) const;
  /// This config with the options of `other` in place of its own, as Python's dict.update.
  HfConfig updated(const HfConfig& other) const;
  /// This config, and where it does not mention an option, what the JSON object `defaults` has.
  HfConfig with_defaults(std::string_view defaults) const;
  /// The config of the text model in a wrapper's: `text_config`, by the name of its architecture. What generates text
  /// (end ids, sampling options, the chat template) is the wrapper's. `tied` is whether the head is the embedding,
  /// where that is known.
  HfConfig text_part(std::string_view architecture, std::optional<bool> tied) const;
  /// Short text of whatever stands there ("4", "null", "\"gelu\""), for messages.
  std::string shown(std::string_view key) const;
  /// Throws Error about this file; without a remedy of its own, with the usual one.
  [[noreturn]] void fail(std::string_view fault, std::string_view remedy = {}) const;

  /// eos_token_id, a number or a list: of generation_config.json, else of config.json. Ids that are not in
  /// [0, vocabulary) can never be sampled and are left out with a warning.
  std::vector<int64_t> end_ids(int64_t vocabulary) const;
  /// bos_token_id, or -1.
  int64_t begin_id(int64_t vocabulary) const;
  /// The sampling options of generation_config.json as a JSON object: do_sample, temperature, top_k, top_p, min_p,
  /// repetition_penalty, as far as it gives them. A number that Transformers would refuse when it generates is warned
  /// of, and left out or taken as what it is meant for. And `special_tokens`, the texts of tokenizer_config.json's:
  /// what a chat template is given beside the messages.
  std::string generation_defaults() const;
  /// Jinja source: chat_template.jinja, else tokenizer_config.json's chat_template (of several, the one named
  /// "default"); empty where there is none.
  const std::string& chat_template() const { return chat_template_; }

 private:
  HfConfig();
  const boost::json::value* find(std::string_view key) const;
  int64_t checked_integer(std::string_view key, const boost::json::value& value, int64_t minimum,
                          int64_t maximum) const;

  std::string name_;
  std::string prefix_;  // "rope_scaling." in an object within the file
  std::unique_ptr<boost::json::object> config_;
  std::unique_ptr<boost::json::object> generation_;
  std::string generation_name_;
  std::string chat_template_;
  std::unique_ptr<boost::json::object> special_tokens_;
};

}  // namespace incipit
