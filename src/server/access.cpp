#include "server/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <sstream>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "server/http.h"

namespace incipit {
namespace {

/// Takes as long for any two keys of the same lengths.
bool is_same_secret(std::string_view given, std::string_view key) {
  unsigned difference = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(key[i % key.size()]);
  }
  return difference == 0;
}

/// Never 0.
uint64_t number_of_text(std::string_view text) { return digest_of(std::as_bytes(std::span(text))).low_bits() | 1; }

/// "localhost" of "LOCALHOST:8000", "::1" of "[::1]:8000"; empty where what follows is no port.
std::string name_of_host(std::string_view host) {
  const bool is_bracketed = host.starts_with('[');
  if (is_bracketed && host.find(']') == std::string_view::npos) return {};
  const size_t end = std::min(is_bracketed ? host.find(']') : host.rfind(':'), host.size());
  const std::string_view name = is_bracketed ? host.substr(1, end - 1) : host.substr(0, end);
  const std::string_view rest = host.substr(std::min(host.size(), end + (is_bracketed ? 1 : 0)));
  const bool has_port =
      rest.empty() ||
      (rest.starts_with(':') && std::ranges::all_of(rest.substr(1), [](char c) { return c >= '0' && c <= '9'; }));
  return has_port ? lower_case(name) : std::string();
}

bool is_given(std::string_view name, const std::vector<std::string>& allowed) {
  return std::ranges::any_of(allowed,
                             [&](const std::string& one) { return one == "*" || lower_case(one) == lower_case(name); });
}

}  // namespace

ApiKeys ApiKeys::read(const std::filesystem::path& path) {
  std::vector<std::string> keys;
  std::istringstream lines(read_text_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with('#')) keys.push_back(line);
  }
  if (keys.empty()) throw Error(path.string(), "it has no keys", "give one a line");
  try {
    return ApiKeys(keys);
  } catch (const Error& error) {
    throw Error(path.string(), error.what());
  }
}

ApiKeys::ApiKeys(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string name, weight, more;
    Key& key = keys_.emplace_back();
    words >> key.secret >> name >> weight >> more;
    if (std::ranges::count(keys_, key.secret, &Key::secret) > 1) {
      throw Error(fmt::format("a key of '{}'", name), "stands there twice", "give each key once");
    }
    key.caller.key = number_of_text(key.secret);
    key.caller.tenant = name.empty() ? key.caller.key : number_of_text(name);
    if (weight.empty()) continue;
    const auto [end, error] = std::from_chars(weight.data(), weight.data() + weight.size(), key.caller.weight);
    if (error != std::errc() || end != weight.data() + weight.size() || !more.empty() || key.caller.weight < 1 ||
        key.caller.weight > most_weight) {
      throw Error(fmt::format("the key of '{}'", name), "what follows the name is no weight",
                  fmt::format("give KEY, KEY NAME or KEY NAME WEIGHT, a weight of 1 to {}", most_weight));
    }
  }
}

std::optional<Caller> ApiKeys::accept(std::string_view authorization) const {
  constexpr std::string_view scheme = "bearer ";  // in upper or lower case
  const auto is_same_letter = [](char given, char own) { return own == ' ' ? given == ' ' : (given | 0x20) == own; };
  if (!std::ranges::equal(authorization.substr(0, scheme.size()), scheme, is_same_letter)) return {};
  authorization.remove_prefix(scheme.size());
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (is_same_secret(authorization, key.secret)) found = &key;
  }
  if (found == nullptr) return {};
  return found->caller;
}

bool is_allowed_host(std::string_view host, const std::vector<std::string>& allowed) {
  const std::string name = name_of_host(host);
  in6_addr address{};
  return name == "localhost" || ::inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &address) == 1 || is_given(name, allowed);
}

bool is_allowed_origin(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed) {
  const size_t scheme = origin.find("://");
  const bool same = scheme != std::string_view::npos && origin.substr(scheme + 3) == host;
  return same || is_given(origin, allowed);
}

}  // namespace incipit
