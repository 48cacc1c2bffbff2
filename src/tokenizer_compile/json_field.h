// Reading foreign JSON: every access checks the type and names the field in its Error.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace incipit {

/// One value within a document, with its path ("model.merges"). The document and the file's name must outlive it.
class JsonField {
 public:
  JsonField(const boost::json::value& value, std::string_view file, std::string path)
      : value_(&value), file_(file), path_(std::move(path)) {}

  /// The member `name`; absent and null are the same. Throws Error when this is not an object.
  std::optional<JsonField> find(std::string_view name) const;
  /// Like find, but absence is an Error.
  JsonField at(std::string_view name) const;

  std::string_view string() const;
  int64_t integer(int64_t low, int64_t high) const;
  bool boolean() const;
  /// The member `name` as a truth value, `fallback` when absent.
  bool flag(std::string_view name, bool fallback) const;
  /// Visits an array's elements in order.
  void each(const std::function<void(const JsonField&)>& visit) const;

  const boost::json::value& value() const { return *value_; }
  std::string_view file() const { return file_; }
  const std::string& path() const { return path_; }
  bool is_string() const;
  bool is_array() const;
  bool is_object() const;

  /// Throws Error about this field: "PATH FAULT".
  [[noreturn]] void refuse(std::string_view fault, std::string_view remedy = {}) const;

 private:
  const boost::json::value* value_;
  std::string_view file_;
  std::string path_;
};

}  // namespace incipit
