// Who may ask: keys, and the names and pages that a browser may speak for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// API keys, compared in a time that depends on no key's contents.
class ApiKeys {
 public:
  ApiKeys() = default;
  explicit ApiKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  /// One key a line; empty lines and those that begin with # are passed over. Throws Error for a file that cannot be
  /// read or has none.
  static ApiKeys read(const std::filesystem::path& path);

  bool empty() const { return keys_.empty(); }
  /// The key that the header's value, "Bearer KEY", has, as a number that tells it from others; nothing where it is
  /// none of these. Never 0.
  std::optional<uint64_t> accept(std::string_view authorization) const;

 private:
  std::vector<std::string> keys_;
};

/// A page of another site reaches a server at an address of ours by a name of its own that leads there (DNS rebinding),
/// or with its own Origin. So a Host is an address, localhost or a name that was given; "*" gives all.
bool is_allowed_host(std::string_view host, const std::vector<std::string>& allowed);
/// An Origin is the Host's own, or was given.
bool is_allowed_origin(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed);

}  // namespace incipit
