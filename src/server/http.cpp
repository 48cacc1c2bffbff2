#include "server/http.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace incipit {

const std::string* HttpRequest::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &HttpHeader::name);
  if (found == headers.end()) return nullptr;
  return std::ranges::count(headers, name, &HttpHeader::name) == 1 ? &found->value : nullptr;
}

const std::string& http_date() {
  static thread_local std::time_t made = -1;
  static thread_local std::string text;
  if (const std::time_t now = std::time(nullptr); now != made) {
    made = now;
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  }
  return text;
}

namespace {

/// Where the host of "http://host/path" begins; npos where there is none.
size_t host_begin(std::string_view target) {
  const size_t scheme = target.starts_with('/') ? std::string_view::npos : target.find("://");
  return scheme == std::string_view::npos ? scheme : scheme + 3;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return lower;
}

std::string path_of(std::string_view target) {
  if (const size_t host = host_begin(target); host != std::string_view::npos) {
    const size_t slash = target.find('/', host);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return percent_decoded(target.substr(0, target.find('?')));
}

std::string_view host_of(std::string_view target) {
  const size_t host = host_begin(target);
  return host == std::string_view::npos ? std::string_view() : target.substr(host, target.find('/', host) - host);
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* const begin = text.data() + i + 1;
      if (const auto [end, error] = std::from_chars(begin, begin + 2, byte, 16);
          error == std::errc() && end == begin + 2) {
        decoded += static_cast<char>(byte);
        i += 2;
        continue;
      }
    }
    decoded += text[i];
  }
  return decoded;
}

}  // namespace incipit
