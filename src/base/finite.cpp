#include "base/finite.h"

#include <cstdint>
#include <cstring>

namespace incipit {
namespace {

/// `least`: the smallest magnitude, as bits, that is looked for.
template <typename Bits>
size_t find(const std::byte* values, size_t count, Bits least) {
  constexpr Bits magnitude = static_cast<Bits>(~Bits{0}) >> 1;
  const auto is_found = [&](size_t i) {
    Bits bits;
    std::memcpy(&bits, values + i * sizeof bits, sizeof bits);
    return static_cast<Bits>(bits & magnitude) >= least;
  };
  constexpr size_t block = 512;  // gone through whole, so that it is done in vectors
  size_t first = 0;
  for (; first + block <= count; first += block) {
    Bits found = 0;
    for (size_t i = 0; i < block; ++i) found |= static_cast<Bits>(is_found(first + i));
    if (found != 0) break;
  }
  for (; first < count; ++first) {
    if (is_found(first)) return first;
  }
  return count;
}

}  // namespace

size_t find_not_finite(DType dtype, const std::byte* values, size_t count, NotFinite what) {
  const unsigned nan = what == NotFinite::nan ? 1 : 0;  // the bits of infinity are the smallest that are no number
  switch (dtype) {
    case DType::f32: return find<uint32_t>(values, count, 0x7f800000U + nan);
    case DType::bf16: return find<uint16_t>(values, count, static_cast<uint16_t>(0x7f80U + nan));
    case DType::f16: return find<uint16_t>(values, count, static_cast<uint16_t>(0x7c00U + nan));
    case DType::f64: return find<uint64_t>(values, count, 0x7ff0000000000000U + nan);
    default: return count;
  }
}

}  // namespace incipit
