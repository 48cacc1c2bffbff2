#include "tokenizer_compile/json_field.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"

namespace incipit {

std::optional<JsonField> JsonField::find(std::string_view name) const {
  const boost::json::object* object = value_->if_object();
  if (object == nullptr) refuse("is not an object");
  const boost::json::value* member = object->if_contains(name);
  if (member == nullptr || member->is_null()) return std::nullopt;
  return JsonField(*member, file_, path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name));
}

JsonField JsonField::at(std::string_view name) const {
  std::optional<JsonField> field = find(name);
  if (!field) throw Error(file_, fmt::format("{}{}{} is missing", path_, path_.empty() ? "" : ".", name));
  return *std::move(field);
}

std::string_view JsonField::string() const {
  const boost::json::string* text = value_->if_string();
  if (text == nullptr) refuse("is not a string");
  return {text->data(), text->size()};
}

int64_t JsonField::integer(int64_t low, int64_t high) const {
  boost::json::error_code error;
  const int64_t number = value_->is_number() ? value_->to_number<int64_t>(error) : 0;
  if (!value_->is_number() || error) refuse("is not an integer");
  if (number < low || number > high) refuse(fmt::format("is {}, outside {} to {}", number, low, high));
  return number;
}

bool JsonField::boolean() const {
  const bool* truth = value_->if_bool();
  if (truth == nullptr) refuse("is neither true nor false");
  return *truth;
}

bool JsonField::flag(std::string_view name, bool fallback) const {
  const std::optional<JsonField> field = find(name);
  return field ? field->boolean() : fallback;
}

void JsonField::each(const std::function<void(const JsonField&)>& visit) const {
  const boost::json::array* array = value_->if_array();
  if (array == nullptr) refuse("is not a list");
  for (size_t i = 0; i < array->size(); ++i) visit(JsonField((*array)[i], file_, fmt::format("{}[{}]", path_, i)));
}

bool JsonField::is_string() const { return value_->is_string(); }
bool JsonField::is_array() const { return value_->is_array(); }
bool JsonField::is_object() const { return value_->is_object(); }

void JsonField::refuse(std::string_view fault, std::string_view remedy) const {
  constexpr std::string_view usual =
      "check it against the publisher's file; a tokenizer that needs it cannot be read yet";
  throw Error(file_, fmt::format("{} {}", path_.empty() ? "the document" : path_, fault),
              remedy.empty() ? usual : remedy);
}

}  // namespace incipit
