// A request that cannot be served, and why.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace incipit {

/// Answered with status 400 and this; other requests go on.
class BadRequest : public std::runtime_error {
 public:
  /// `parameter`: the one at fault; empty for the request as a whole. `code`: the API's word for the fault, where it
  /// has one.
  BadRequest(std::string parameter, const std::string& message, std::string code = {})
      : std::runtime_error(message), parameter_(std::move(parameter)), code_(std::move(code)) {}
  const std::string& parameter() const { return parameter_; }
  const std::string& code() const { return code_; }

 private:
  std::string parameter_, code_;
};

}  // namespace incipit
