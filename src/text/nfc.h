// Unicode's canonical composition. Source: Unicode Standard Annex 15 (NFC).
#pragma once

#include <string>
#include <string_view>

namespace incipit {

/// Whether `text` surely comes out as it went in, so that it need not be copied.
bool is_surely_nfc(std::string_view text);

/// Broken bytes are kept as they are and never combine.
std::string to_nfc(std::string_view text);

}  // namespace incipit
