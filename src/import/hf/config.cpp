#include "import/hf/config.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "import/hf/chat_template.h"

namespace incipit {
namespace {

constexpr size_t small_file = size_t{64} << 20;

boost::json::string_view key_of(std::string_view key) { return {key.data(), key.size()}; }
std::string text_of(const boost::json::string& text) { return {text.data(), text.size()}; }

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
  if (!std::filesystem::exists(path)) {
    throw Error(path.string(), "no such file",
                "a model directory holds config.json, tokenizer.json and safetensors files");
  }
  HfConfig result = parse(path.string(), read_text_file(path, small_file));
  const std::filesystem::path generation = directory / "generation_config.json";
  result.generation_name_ = generation.string();
  if (std::filesystem::exists(generation)) {
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
      spdlog::warn("{}: {} {} is outside the vocabulary of {} and is ignored", name, key, id, vocabulary);
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

std::string HfConfig::generation_defaults() const {
  constexpr std::array<std::string_view, 6> options{"do_sample", "temperature", "top_k",
                                                    "top_p",     "min_p",       "repetition_penalty"};
  boost::json::object kept;
  for (std::string_view option : options) {
    const boost::json::value* value = generation_->if_contains(key_of(option));
    if (value == nullptr || value->is_null()) continue;
    const auto demand = [&](bool fits, std::string_view remedy) {
      if (fits) return;
      const std::string found = value->is_number() ? boost::json::serialize(*value) : std::string(kind_name(*value));
      throw Error(generation_name_, fmt::format("{} is {}", option, found), remedy);
    };
    if (option == "do_sample") {
      demand(value->is_bool(), "it must be true or false");
    } else if (option == "top_k") {
      demand(value->is_int64() && value->get_int64() >= 0 && value->get_int64() <= INT32_MAX,
             "it must be an integer from 0 (all)");
    } else {
      demand(value->is_number(), "it must be a number");
    }
    kept[key_of(option)] = *value;
  }
  if (!special_tokens_->empty()) kept["special_tokens"] = *special_tokens_;
  return boost::json::serialize(kept);
}

}  // namespace incipit
