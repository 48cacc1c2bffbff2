// What is done to a text before it is cut: nothing, or Unicode's canonical composition.
// Source: Unicode Standard Annex 15 (NFC); Hugging Face tokenizers' `normalizer` component.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace incipit {

/// Stored in compiled tokenizers: never renumber.
enum class NormalizerKind : uint32_t { none = 0, nfc = 1 };

/// Whether `text` surely comes out as it went in, so that it need not be copied.
bool is_surely_normalized(NormalizerKind kind, std::string_view text);

/// Broken bytes are kept as they are and never combine.
std::string normalize(NormalizerKind kind, std::string_view text);

}  // namespace incipit
