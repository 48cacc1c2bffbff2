#include "server/http.h"

#include <algorithm>
#include <charconv>

namespace incipit {

const std::string* HttpRequest::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &HttpHeader::name);
  if (found == headers.end()) return nullptr;
  return std::ranges::count(headers, name, &HttpHeader::name) == 1 ? &found->value : nullptr;
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
