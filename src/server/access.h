// Who may ask: keys, and the names and pages that a browser may speak for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// Who calls. All are 0 and 1 where no key is asked for.
struct Caller {
  uint64_t key = 0;     // a number that tells its API key from others
  uint64_t tenant = 0;  // whose key it is: keys of one name share the engine's time
  int32_t weight = 1;   // the tenant's
};

/// API keys, compared in a time that depends on no key's contents.
class ApiKeys {
 public:
  ApiKeys() = default;
  /// "KEY [name [weight]]" each: of keys without a name each is a tenant of its own, of weight 1. Throws Error for a
  /// weight that is none.
  explicit ApiKeys(const std::vector<std::string>& lines);
  /// One a line; empty lines and those that begin with # are passed over. Throws Error for a file that cannot be read
  /// or has none.
  static ApiKeys read(const std::filesystem::path& path);

  bool empty() const { return keys_.empty(); }
  /// Whose the key is that the header's value, "Bearer KEY", has; nothing where it is none of these.
  std::optional<Caller> accept(std::string_view authorization) const;

  static constexpr int32_t most_weight = 1000;

 private:
  struct Key {
    std::string secret;
    Caller caller;
  };
  std::vector<Key> keys_;
};

/// A page of another site reaches a server at an address of ours by a name of its own that leads there (DNS rebinding),
/// or with its own Origin. So a Host is an address, localhost or a name that was given; "*" gives all.
bool is_allowed_host(std::string_view host, const std::vector<std::string>& allowed);
/// An Origin is the Host's own, or was given.
bool is_allowed_origin(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed);

}  // namespace incipit
