// The fields of a JSON object that a program of ours has written and somebody may have altered since.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace incipit {

/// Each must be there and be what is asked for. Throws Error naming `thing` and the field, with `remedy`. The value
/// outlives this.
class JsonFields {
 public:
  JsonFields(const boost::json::value& value, std::string thing, std::string_view remedy);

  /// Null where it is not there.
  const boost::json::value* find(std::string_view name) const;
  std::string text(std::string_view name) const;
  int64_t count(std::string_view name) const;  // from 0 on
  double number(std::string_view name) const;
  const boost::json::array& list(std::string_view name) const;
  /// Empty where it is not there.
  std::string optional_text(std::string_view name) const;
  boost::json::object optional_object(std::string_view name) const;

  [[noreturn]] void refuse(std::string_view name) const;

 private:
  const boost::json::object* object_ = nullptr;
  std::string thing_;
  std::string_view remedy_;
};

}  // namespace incipit
