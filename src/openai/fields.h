// Reading the fields of a JSON body. What is not as it should be throws BadRequest naming the field.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::fields {

/// "messages[0].content": a part of a field.
std::string join(const std::string& field, std::string_view part);

/// The value of a key, or null where it is missing or null: both stand for the default.
const boost::json::value* given(const boost::json::object& body, std::string_view key);

[[noreturn]] void wrong_kind(const std::string& field, const boost::json::value& found, std::string_view expected);

const boost::json::object& object_of(const boost::json::value& from, const std::string& field);
std::string text_of(const boost::json::value& from, const std::string& field);
double number_of(const boost::json::value& from, const std::string& field, double least, double most);
int64_t integer_of(const boost::json::value& from, const std::string& field, int64_t least, int64_t most);
/// An array of token ids; the session says which the vocabulary has.
std::vector<int32_t> ids_of(const boost::json::value& from, const std::string& field);
/// The flag of a key; `otherwise` where it is not given.
bool flag(const boost::json::object& body, std::string_view key, bool otherwise);

}  // namespace incipit::fields
