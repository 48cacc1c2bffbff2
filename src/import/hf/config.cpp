#include "import/hf/config.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/paths.h"
#include "import/hf/chat_template.h"
#include "import/hf/small_file.h"

namespace incipit {
namespace {

boost::json::string_view key_of(std::string_view key) { return {key.data(), key.size()}; }
boost::json::object parse_object(std::string_view text, const std::string& name) {
  boost::json::value parsed = parse_json(text, name);
  if (!parsed.is_object()) {
    throw Error(name, fmt::format("holds {} where a JSON object is expected", kind_name(parsed)));
  }
  return std::move(parsed.get_object());
}

}  // namespace

HfConfig::HfConfig()
    : config_(std::make_unique<boost::json::object>()),
      generation_(std::make_unique<boost::json::object>()),
      special_tokens_(std::make_unique<boost::json::object>()) {}
HfConfig::~HfConfig() = default;
HfConfig::HfConfig(HfConfig&&) noexcept = default;
HfConfig& HfConfig::operator=(HfConfig&&) noexcept = default;

HfConfig HfConfig::parse(std::string name, std::string_view config, std::string_view generation) {
  HfConfig result;
  result.name_ = std::move(name);
  result.generation_name_ = "generation_config.json";
  *result.config_ = parse_object(config, result.name_);
  *result.generation_ = parse_object(generation, result.generation_name_);
  return result;
}

HfConfig HfConfig::read(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  if (!is_there(path)) {
    throw Error(path.string(), "no such file",
                "a model directory holds config.json, tokenizer.json and safetensors files");
  }
  HfConfig result = parse(path.string(), read_text_file(path, small_file));
  const std::filesystem::path generation = directory / "generation_config.json";
  result.generation_name_ = generation.string();
  if (is_there(generation)) {
    *result.generation_ = parse_object(read_text_file(generation, small_file), result.generation_name_);
  }
  result.chat_template_ = read_chat_template(directory);
  *result.special_tokens_ = read_special_tokens(directory);
  return result;
}

void HfConfig::fail(std::string_view fault, std::string_view remedy) const {
  constexpr std::string_view usual = "check it against the publisher's file; a model that needs it cannot be built yet";
  throw Error(name_, prefix_ + std::string(fault), remedy.empty() ? usual : remedy);
}

const boost::json::value* HfConfig::find(std::string_view key) const {
  const boost::json::value* value = config_->if_contains(key_of(key));
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool HfConfig::has(std::string_view key) const { return find(key) != nullptr; }

bool HfConfig::mentions(std::string_view key) const { return config_->contains(key_of(key)); }

std::string HfConfig::shown(std::string_view key) const {
  const boost::json::value* value = config_->if_contains(key_of(key));
  if (value == nullptr) return "absent";
  std::string text = boost::json::serialize(*value);
  constexpr size_t limit = 60;
  if (text.size() > limit) text = std::string(kind_name(*value));
  return text;
}

std::string HfConfig::architecture() const {
  const std::vector<std::string> names = texts("architectures");
  if (names.size() != 1) {
    fail(fmt::format("architectures is {}", shown("architectures")), "it must name one architecture");
  }
  return names.front();
}

int64_t HfConfig::checked_integer(std::string_view key, const boost::json::value& value, int64_t minimum,
                                  int64_t maximum) const {
  const int64_t* number = value.if_int64();
  if (number == nullptr || *number < minimum || *number > maximum) {
    fail(fmt::format("{} is {}", key, shown(key)), fmt::format("it must be an integer in [{}, {}]", minimum, maximum));
  }
  return *number;
}

int64_t HfConfig::integer(std::string_view key, int64_t minimum, int64_t maximum) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) {
    fail(fmt::format("{} is missing", key), fmt::format("give an integer in [{}, {}]", minimum, maximum));
  }
  return checked_integer(key, *value, minimum, maximum);
}

int64_t HfConfig::integer_or(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const {
  const boost::json::value* value = find(key);
  return value == nullptr ? fallback : checked_integer(key, *value, minimum, maximum);
}

double HfConfig::number(std::string_view key) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) fail(fmt::format("{} is missing", key), "give a number");
  double number = std::numeric_limits<double>::quiet_NaN();
  if (value->is_number()) number = value->to_number<double>();
  if (!std::isfinite(number)) fail(fmt::format("{} is {}", key, shown(key)), "it must be a number");
  return number;
}

double HfConfig::number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

bool HfConfig::flag(std::string_view key, bool fallback) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) fail(fmt::format("{} is {}", key, shown(key)), "it must be true or false");
  return value->get_bool();
}

std::string HfConfig::text_or(std::string_view key, std::string_view fallback) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) fail(fmt::format("{} is {}", key, shown(key)), "it must be a string");
  return text_of(value->get_string());
}

std::vector<std::string> HfConfig::texts(std::string_view key) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::string> texts;
  if (const boost::json::array* list = value->if_array()) {
    for (const boost::json::value& item : *list) {
      if (!item.is_string()) break;
      texts.push_back(text_of(item.get_string()));
    }
    if (texts.size() == list->size()) return texts;
  }
  fail(fmt::format("{} is {}", key, shown(key)), "it must be a list of strings");
}

std::vector<double> HfConfig::numbers(std::string_view key) const {
  const boost::json::value* value = find(key);
  if (value == nullptr) return {};
  std::vector<double> numbers;
  if (const boost::json::array* list = value->if_array()) {
    for (const boost::json::value& item : *list) {
      if (!item.is_number() || !std::isfinite(item.to_number<double>())) break;
      numbers.push_back(item.to_number<double>());
    }
    if (numbers.size() == list->size()) return numbers;
  }
  fail(fmt::format("{} is {}", key, shown(key)), "it must be a list of numbers");
}

HfConfig HfConfig::object(std::string_view key) const {
  HfConfig result;
  result.name_ = name_;
  result.prefix_ = prefix_ + std::string(key) + '.';
  const boost::json::value* value = find(key);
  if (value == nullptr) return result;
  if (!value->is_object()) fail(fmt::format("{} is {}", key, shown(key)), "it must be an object");
  *result.config_ = value->get_object();
  return result;
}

bool HfConfig::is_object(std::string_view key) const {
  const boost::json::value* value = find(key);
  return value != nullptr && value->is_object();
}

bool HfConfig::is_list(std::string_view key) const {
  const boost::json::value* value = find(key);
  return value != nullptr && value->is_array();
}

std::vector<std::string> HfConfig::keys() const {
  std::vector<std::string> names;
  for (const auto& [key, value] : *config_) {
    if (!value.is_null()) names.emplace_back(key.data(), key.size());
  }
  return names;
}

bool HfConfig::same_as(const HfConfig& other) const { return *config_ == *other.config_; }

HfConfig HfConfig::updated(const HfConfig& other) const {
  HfConfig result;
  result.name_ = name_;
  result.prefix_ = config_->empty() ? other.prefix_ : prefix_;
  *result.config_ = *config_;
  for (const auto& [key, value] : *other.config_) (*result.config_)[key] = value;
  return result;
}

HfConfig HfConfig::with_defaults(std::string_view defaults) const {
  HfConfig result;
  result.name_ = name_;
  result.prefix_ = prefix_;
  *result.config_ = *config_;
  for (auto& [key, value] : parse_object(defaults, "defaults")) result.config_->emplace(key, std::move(value));
  return result;
}

HfConfig HfConfig::text_part(std::string_view architecture, std::optional<bool> tied) const {
  HfConfig result = object("text_config");
  (*result.config_)["architectures"] = boost::json::array{boost::json::string(architecture)};
  if (tied) (*result.config_)["tie_word_embeddings"] = *tied;
  for (const char* key : {"eos_token_id", "bos_token_id"}) {
    if (const boost::json::value* value = find(key)) (*result.config_)[key] = *value;
  }
  *result.generation_ = *generation_;
  result.generation_name_ = generation_name_;
  result.chat_template_ = chat_template_;
  *result.special_tokens_ = *special_tokens_;
  return result;
}

namespace {

/// Token ids under `key`: an integer, a list of integers, or nothing.
std::vector<int64_t> token_ids(const boost::json::object& object, std::string_view key, const std::string& name,
                               int64_t vocabulary) {
  const boost::json::value* value = object.if_contains(key_of(key));
  if (value == nullptr || value->is_null()) return {};
  std::vector<int64_t> ids;
  const auto add = [&](const boost::json::value& item) {
    if (!item.is_int64()) {
      throw Error(name, fmt::format("{} holds {}", key, kind_name(item)), "it must be a token id or a list of them");
    }
    const int64_t id = item.get_int64();
    if (id >= 0 && id < vocabulary) {
      ids.push_back(id);
    } else {
      log_warning("{}: {} {} is outside the vocabulary of {} and is ignored", name, key, id, vocabulary);
    }
  };
  if (const boost::json::array* list = value->if_array()) {
    for (const boost::json::value& item : *list) add(item);
  } else {
    add(*value);
  }
  return ids;
}

}  // namespace

std::vector<int64_t> HfConfig::end_ids(int64_t vocabulary) const {
  std::vector<int64_t> ids = token_ids(*generation_, "eos_token_id", generation_name_, vocabulary);
  return ids.empty() ? token_ids(*config_, "eos_token_id", name_, vocabulary) : ids;
}

int64_t HfConfig::begin_id(int64_t vocabulary) const {
  std::vector<int64_t> ids = token_ids(*generation_, "bos_token_id", generation_name_, vocabulary);
  if (ids.empty()) ids = token_ids(*config_, "bos_token_id", name_, vocabulary);
  return ids.empty() ? -1 : ids.front();
}

namespace {

/// An option that holds a number, as sampling takes it; nothing where it is to be left out. `warn` is told what was
/// made of one that Transformers refuses when it generates.
std::optional<boost::json::value> sampling_number(std::string_view option, const boost::json::value& given,
                                                  const std::function<void(std::string_view made)>& warn) {
  const auto number = given.to_number<double>();
  const auto keep_if = [&](bool fits) -> std::optional<boost::json::value> {
    if (fits) return given;
    warn("is left out");
    return std::nullopt;
  };
  if (option == "top_k") {
    const bool is_whole = number == std::floor(number);
    if (is_whole && (number < 0 || number > INT32_MAX)) {
      warn("is taken as 0, all tokens");
      return 0;
    }
    if (is_whole && !given.is_int64()) warn(fmt::format("is taken as {}", static_cast<int64_t>(number)));
    return is_whole ? std::optional<boost::json::value>(static_cast<int64_t>(number)) : keep_if(false);
  }
  if (option == "top_p" && number > 1) return std::nullopt;  // as Transformers: all tokens
  if (option == "top_p" || option == "min_p") return keep_if(number >= 0 && number <= 1);
  if (option == "repetition_penalty") return keep_if(number > 0);
  if (number == 0) warn("is taken as no drawing: the most likely token");
  return keep_if(number >= 0);  // the temperature
}

}  // namespace

std::string HfConfig::generation_defaults() const {
  constexpr std::array<std::string_view, 6> options{"do_sample", "temperature", "top_k",
                                                    "top_p",     "min_p",       "repetition_penalty"};
  boost::json::object kept;
  for (std::string_view option : options) {
    const boost::json::value* value = generation_->if_contains(key_of(option));
    if (value == nullptr || value->is_null()) continue;
    const bool fits = option == "do_sample" ? value->is_bool() : value->is_number();
    if (!fits) {
      throw Error(generation_name_, fmt::format("{} is {}", option, kind_name(*value)),
                  option == "do_sample" ? "it must be true or false" : "it must be a number");
    }
    if (option == "do_sample") {
      kept[key_of(option)] = *value;
      continue;
    }
    const auto warn = [&](std::string_view made) {
      log_warning("{}: {} {} {}", generation_name_, option, boost::json::serialize(*value), made);
    };
    if (std::optional<boost::json::value> taken = sampling_number(option, *value, warn)) {
      kept[key_of(option)] = std::move(*taken);
    }
  }
  // Nothing of the probability: the most likely token is always kept.
  if (const boost::json::value* top_p = kept.if_contains("top_p");
      top_p != nullptr && top_p->to_number<double>() == 0) {
    kept.erase("top_p");
    kept["top_k"] = 1;
  }
  if (!special_tokens_->empty()) kept["special_tokens"] = *special_tokens_;
  return boost::json::serialize(kept);
}

}  // namespace incipit
