#include "base/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/tensor.h"

namespace incipit {
namespace {

/// `count` elements of a type, the one at `place` being `value`, at an odd address.
size_t found(DType dtype, size_t count, size_t place, float value, NotFinite what) {
  std::vector<float> values(count, -3.0F);
  for (size_t i = 0; i < count; i += 3) values[i] = 65504;  // the largest that f16 holds
  if (place < count) values[place] = value;
  std::vector<std::byte> bytes(count * size_of(dtype) + 1), aligned(count * size_of(dtype));
  convert_from_float(values.data(), dtype, aligned.data(), count);
  if (count > 0) std::memcpy(bytes.data() + 1, aligned.data(), aligned.size());
  return find_not_finite(dtype, bytes.data() + 1, count, what);
}

TEST(Finite, TheFirstThatIsNoNumberIsFoundWhereverItIs) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const size_t count : {0, 1, 7, 511, 512, 513, 1500}) {
      EXPECT_EQ(found(dtype, count, count, 0, NotFinite::any), count);
      for (size_t place = 0; place < count; place += 1 + place / 8) {
        for (const float value : {NAN, -NAN}) {
          EXPECT_EQ(found(dtype, count, place, value, NotFinite::any), place) << name_of(dtype);
          EXPECT_EQ(found(dtype, count, place, value, NotFinite::nan), place) << name_of(dtype);
        }
        for (const float value : {infinity, -infinity}) {
          EXPECT_EQ(found(dtype, count, place, value, NotFinite::any), place) << name_of(dtype);
          EXPECT_EQ(found(dtype, count, place, value, NotFinite::nan), count) << name_of(dtype);
        }
      }
    }
  }
}

TEST(Finite, LargestAndSmallestNumbersAreNumbers) {
  const std::vector<float> edges{std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(),
                                 std::numeric_limits<float>::denorm_min(), 0.0F, -0.0F};
  EXPECT_EQ(find_not_finite(edges, NotFinite::any), edges.size());
  const std::vector<int32_t> integers{-1, 0x7fc00000};
  EXPECT_EQ(find_not_finite(DType::i32, std::as_bytes(std::span(integers)).data(), 2, NotFinite::any), 2);
  const std::vector<double> doubles{std::numeric_limits<double>::max(), NAN};
  EXPECT_EQ(find_not_finite(DType::f64, std::as_bytes(std::span(doubles)).data(), 2, NotFinite::nan), 1);
}

}  // namespace
}  // namespace incipit
