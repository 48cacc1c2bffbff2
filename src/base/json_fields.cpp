#include "base/json_fields.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "base/error.h"

namespace incipit {

JsonFields::JsonFields(const boost::json::value& value, std::string thing, std::string_view remedy)
    : object_(value.if_object()), thing_(std::move(thing)), remedy_(remedy) {
  if (object_ == nullptr) throw Error(thing_, "is no JSON object", remedy_);
}

const boost::json::value* JsonFields::find(std::string_view name) const { return object_->if_contains(name); }

std::string JsonFields::text(std::string_view name) const {
  const boost::json::value* value = find(name);
  if (value == nullptr || !value->is_string()) refuse(name);
  return std::string(value->get_string());
}

int64_t JsonFields::count(std::string_view name) const {
  const boost::json::value* value = find(name);
  if (value == nullptr || !value->is_int64() || value->get_int64() < 0) refuse(name);
  return value->get_int64();
}

double JsonFields::number(std::string_view name) const {
  const boost::json::value* value = find(name);
  if (value == nullptr || !value->is_number()) refuse(name);
  return value->to_number<double>();
}

const boost::json::array& JsonFields::list(std::string_view name) const {
  const boost::json::value* value = find(name);
  if (value == nullptr || !value->is_array()) refuse(name);
  return value->get_array();
}

std::string JsonFields::optional_text(std::string_view name) const {
  return find(name) == nullptr ? std::string() : text(name);
}

boost::json::object JsonFields::optional_object(std::string_view name) const {
  const boost::json::value* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_object()) refuse(name);
  return value->get_object();
}

void JsonFields::refuse(std::string_view name) const {
  throw Error(thing_, fmt::format("'{}' is missing or not what it must be", name), remedy_);
}

}  // namespace incipit
