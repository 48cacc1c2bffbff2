// What OpenAI's own description says of an answer's fields (fixtures/openai/schemas.json).
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/file.h"
#include "support/shared_files.h"

namespace incipit {

/// Fields that the description does not know are ours or vLLM's, and no fault.
class OpenAiSchemas {
 public:
  OpenAiSchemas()
      : file_(
            boost::json::parse(read_text_file(source_directory() / "tests" / "fixtures" / "openai" / "schemas.json"))) {
  }

  /// What a value breaks, by its path; empty: nothing.
  std::string fault_of(std::string_view name, const boost::json::value& value) const {
    return fault(named(name), value, std::string(name));
  }

 private:
  using Object = boost::json::object;
  using Value = boost::json::value;

  const Object& named(std::string_view name) const {
    return file_.as_object().at("schemas").as_object().at(name).as_object();
  }

  static bool is_of_type(std::string_view type, const Value& value) {
    if (type == "integer") return value.is_int64() || value.is_uint64();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_bool();
    if (type == "array") return value.is_array();
    if (type == "object") return value.is_object();
    return type == "null" && value.is_null();
  }

  std::string fault(const Object& schema, const Value& value, const std::string& path) const {
    const Value* const nullable = schema.if_contains("nullable");
    if (nullable != nullptr && nullable->as_bool() && value.is_null()) return {};
    if (const Value* const other = schema.if_contains("$ref")) return fault(named(other->as_string()), value, path);
    for (const char* const key : {"anyOf", "oneOf"}) {
      const Value* const choices = schema.if_contains(key);
      if (choices == nullptr) continue;
      const bool fits = std::ranges::any_of(
          choices->as_array(), [&](const Value& choice) { return fault(choice.as_object(), value, path).empty(); });
      if (!fits) return path + " is none of what it may be";
    }
    if (const Value* const parts = schema.if_contains("allOf")) {
      for (const Value& part : parts->as_array()) {
        if (std::string found = fault(part.as_object(), value, path); !found.empty()) return found;
      }
    }
    const Value* const type = schema.if_contains("type");
    if (type != nullptr && !is_of_type(type->as_string(), value)) {
      return path + " is no " + std::string(type->as_string());
    }
    const Value* const words = schema.if_contains("enum");
    if (words != nullptr && std::ranges::find(words->as_array(), value) == words->as_array().end()) {
      return path + " is another word";
    }
    if (value.is_array()) return fault_of_items(schema, value.get_array(), path);
    return value.is_object() ? fault_of_fields(schema, value.get_object(), path) : std::string();
  }

  std::string fault_of_items(const Object& schema, const boost::json::array& items, const std::string& path) const {
    const Value* const rule = schema.if_contains("items");
    for (size_t i = 0; rule != nullptr && i < items.size(); ++i) {
      const std::string place = path + "[" + std::to_string(i) + "]";
      if (std::string found = fault(rule->as_object(), items[i], place); !found.empty()) return found;
    }
    return {};
  }

  std::string fault_of_fields(const Object& schema, const Object& object, const std::string& path) const {
    if (const Value* const required = schema.if_contains("required")) {
      for (const Value& key : required->as_array()) {
        if (!object.contains(key.as_string())) return path + " has no " + std::string(key.as_string());
      }
    }
    const Value* const fields = schema.if_contains("properties");
    const Value* const others = schema.if_contains("additionalProperties");
    for (const auto& [key, field] : object) {
      const Value* const known = fields == nullptr ? nullptr : fields->as_object().if_contains(key);
      const Value* const rule = known != nullptr ? known : others;
      if (rule == nullptr || !rule->is_object()) continue;
      if (std::string found = fault(rule->as_object(), field, path + "." + std::string(key)); !found.empty()) {
        return found;
      }
    }
    return {};
  }

  Value file_;
};

}  // namespace incipit
