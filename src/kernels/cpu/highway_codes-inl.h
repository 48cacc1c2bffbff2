// Rows as codes with a scale, by base/codes.h: what norms, QuantizeRows and KvWrite share. Compiled anew for every
// target.
#if defined(INCIPIT_HIGHWAY_CODES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef INCIPIT_HIGHWAY_CODES_INL
#undef INCIPIT_HIGHWAY_CODES_INL
#else
#define INCIPIT_HIGHWAY_CODES_INL
#endif

#include <algorithm>
#include <cstring>

#include "base/codes.h"
#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

/// The vector of a row that begins at `i`; zeros beyond the width.
template <typename T>
HWY_INLINE FloatVec load_at(const T* row, int64_t i, int64_t width) {
  return i + static_cast<int64_t>(float_lanes()) <= width ? load_floats(row + i)
                                                          : load_some(row + i, static_cast<size_t>(width - i));
}

/// Rounds to codes, a NaN to zero, and stores the first `count` of them.
HWY_INLINE void store_codes(FloatVec y, int64_t count, int8_t* to) {
  const ByteTag bytes;
  const auto limit = hn::Set(FloatTag(), largest_code);
  y = hn::IfThenElseZero(hn::Eq(y, y), hn::Max(hn::Min(y, limit), hn::Neg(limit)));
  const auto codes = hn::DemoteTo(bytes, hn::NearestInt(y));
  if (count >= static_cast<int64_t>(float_lanes())) {
    hn::StoreU(codes, bytes, to);
  } else {
    alignas(64) int8_t buffer[HWY_MAX_BYTES / sizeof(float)];
    hn::StoreU(codes, bytes, buffer);
    std::memcpy(to, buffer, static_cast<size_t>(count));
  }
}

/// Writes codes of one row, whose values are in f32 or bf16, and returns its scale.
template <typename T>
HWY_INLINE float quantize_row(const T* from, int64_t width, int8_t* to) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  auto most0 = hn::Zero(d), most1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * n <= width; i += 2 * n) {
    most0 = hn::Max(hn::Abs(load_floats(from + i)), most0);  // this order drops a NaN
    most1 = hn::Max(hn::Abs(load_floats(from + i + n)), most1);
  }
  for (; i < width; i += n) {
    const auto rest = static_cast<size_t>(std::min(n, width - i));
    most0 = hn::Max(hn::Abs(load_some(from + i, rest)), most0);
  }
  const float scale = code_scale(hn::GetLane(hn::MaxOfLanes(d, hn::Max(most0, most1))));
  const auto divisor = hn::Set(d, scale);
  for (i = 0; i < width; i += n) store_codes(hn::Div(load_at(from, i, width), divisor), width - i, to + i);
  return scale;
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#endif
