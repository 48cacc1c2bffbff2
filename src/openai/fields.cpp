#include "openai/fields.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "openai/bad_request.h"

namespace incipit::fields {

using boost::json::value;

std::string join(const std::string& field, std::string_view part) { return fmt::format("{}.{}", field, part); }

const value* given(const boost::json::object& body, std::string_view key) {
  const value* found = body.if_contains(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

void wrong_kind(const std::string& field, const value& found, std::string_view expected) {
  throw BadRequest(field, fmt::format("'{}' is {}, and should be {}", field, kind_name(found), expected));
}

const boost::json::object& object_of(const value& from, const std::string& field) {
  if (!from.is_object()) wrong_kind(field, from, "an object");
  return from.get_object();
}

std::string text_of(const value& from, const std::string& field) {
  if (!from.is_string()) wrong_kind(field, from, "a string");
  return std::string(from.get_string());
}

double number_of(const value& from, const std::string& field, double least, double most) {
  if (!from.is_number()) wrong_kind(field, from, "a number");
  const auto number = from.to_number<double>();
  const bool is_inside = number >= least && number <= most;  // no NaN is
  if (!is_inside) {
    throw BadRequest(field, fmt::format("'{}' is {}, and should be {} to {}", field, number, least, most));
  }
  return number;
}

int64_t integer_of(const value& from, const std::string& field, int64_t least, int64_t most) {
  boost::system::error_code inexact;
  const auto number = from.is_number() ? from.to_number<int64_t>(inexact) : int64_t{0};
  if (!from.is_number()) wrong_kind(field, from, "an integer");
  if (inexact || number < least || number > most) {
    throw BadRequest(field, fmt::format("'{}' is {}, and should be an integer of {} to {}", field,
                                        boost::json::serialize(from), least, most));
  }
  return number;
}

std::vector<int32_t> ids_of(const value& from, const std::string& field) {
  if (!from.is_array()) wrong_kind(field, from, "an array of token ids");
  std::vector<int32_t> ids;
  for (const value& id : from.get_array()) ids.push_back(static_cast<int32_t>(integer_of(id, field, 0, INT32_MAX)));
  return ids;
}

bool flag(const boost::json::object& body, std::string_view key, bool otherwise) {
  const value* found = given(body, key);
  if (found == nullptr) return otherwise;
  if (!found->is_bool()) wrong_kind(std::string(key), *found, "true or false");
  return found->get_bool();
}

}  // namespace incipit::fields
