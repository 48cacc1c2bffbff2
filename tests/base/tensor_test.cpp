#include "base/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "support/message_of.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TensorTest, ElementCount) {
  EXPECT_EQ(element_count(Shape{}), 1);
  EXPECT_EQ(element_count(Shape{3, 4, 5}), 60);
  EXPECT_EQ(element_count(Shape{3, 0, 5}), 0);
  EXPECT_THAT(message_of([] { element_count(Shape{2, -1}); }), HasSubstr("extent -1 is negative"));
  EXPECT_THAT(message_of([] { element_count(Shape{int64_t{1} << 32, int64_t{1} << 32}); }), HasSubstr("overflows"));
}

TEST(TensorTest, OwnsAlignedZeroedMemory) {
  Tensor tensor(DType::f32, {3, 5});
  EXPECT_EQ(tensor.elements(), 15);
  EXPECT_EQ(tensor.bytes(), 60u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
  for (float x : tensor.as<float>()) EXPECT_EQ(x, 0.0f);
  tensor.as<float>()[7] = 2.5f;
  const TensorView view = tensor.view();
  EXPECT_EQ(view.as<float>()[7], 2.5f);
  EXPECT_EQ(view.bytes(), 60u);
  EXPECT_EQ(view.shape, (Shape{3, 5}));
}

TEST(TensorTest, EmptyAndScalar) {
  EXPECT_EQ(Tensor().elements(), 0);
  EXPECT_EQ(Tensor(DType::i8, {0, 7}).bytes(), 0u);
  EXPECT_EQ(Tensor(DType::i64, {}).bytes(), 8u);
}

TEST(TensorTest, TooLargeForMemoryIsAnError) {
  EXPECT_THAT(message_of([] { Tensor(DType::f64, {int64_t{1} << 61}); }), HasSubstr("more bytes than 1 TiB"));
}

TEST(TensorTest, OfCopiesValues) {
  const std::array<int64_t, 4> wide{1, -2, 3, int64_t{1} << 40};
  const Tensor tensor = Tensor::of({2, 2}, std::span<const int64_t>(wide));
  EXPECT_EQ(tensor.dtype(), DType::i64);
  EXPECT_THAT(tensor.as<int64_t>(), ElementsAre(1, -2, 3, int64_t{1} << 40));
  const std::array<float, 2> floats{0.5f, -1.0f};
  EXPECT_THAT(Tensor::of({2}, std::span<const float>(floats)).as<float>(), ElementsAre(0.5f, -1.0f));
  const std::array<int32_t, 1> narrow{-7};
  EXPECT_THAT(Tensor::of({}, std::span<const int32_t>(narrow)).as<int32_t>(), ElementsAre(-7));
}

template <typename T>
std::vector<float> widened(DType dtype, std::vector<T> values) {
  // One byte in: a mapped file promises no alignment.
  std::vector<std::byte> bytes(1 + values.size() * sizeof(T));
  std::ranges::copy(std::as_bytes(std::span(values)), bytes.begin() + 1);
  std::vector<float> result(values.size());
  convert_to_float(dtype, bytes.data() + 1, result.data(), values.size());
  return result;
}

TEST(TensorTest, ConvertsEveryDTypeToFloat) {
  EXPECT_THAT(widened<float>(DType::f32, {1.5f, -2.0f}), ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(widened<uint16_t>(DType::f16, {0x3c00, 0xc000}), ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(widened<uint16_t>(DType::bf16, {0x3f80, 0xc000}), ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(widened<int8_t>(DType::i8, {-128, 127}), ElementsAre(-128.0f, 127.0f));
  EXPECT_THAT(widened<uint8_t>(DType::u8, {0, 255}), ElementsAre(0.0f, 255.0f));
  EXPECT_THAT(widened<uint8_t>(DType::boolean, {0, 1}), ElementsAre(0.0f, 1.0f));
  EXPECT_THAT(widened<int16_t>(DType::i16, {-32768, 3}), ElementsAre(-32768.0f, 3.0f));
  EXPECT_THAT(widened<uint16_t>(DType::u16, {65535, 3}), ElementsAre(65535.0f, 3.0f));
  EXPECT_THAT(widened<int32_t>(DType::i32, {-5, 1 << 20}), ElementsAre(-5.0f, 1048576.0f));
  EXPECT_THAT(widened<uint32_t>(DType::u32, {5, 1u << 31}), ElementsAre(5.0f, 2147483648.0f));
  EXPECT_THAT(widened<int64_t>(DType::i64, {-5, int64_t{1} << 40}), ElementsAre(-5.0f, 1099511627776.0f));
  EXPECT_THAT(widened<uint64_t>(DType::u64, {5, uint64_t{1} << 63}), ElementsAre(5.0f, 9223372036854775808.0f));
  EXPECT_THAT(widened<double>(DType::f64, {0.25, -3.0}), ElementsAre(0.25f, -3.0f));
}

TEST(TensorTest, ConvertsFromFloat) {
  const std::array<float, 3> values{1.0f, -2.0f, 0.333333343f};
  std::array<std::byte, 12> bytes{};
  std::array<uint16_t, 3> halves{};

  convert_from_float(values.data(), DType::f32, bytes.data(), 3);
  EXPECT_EQ(std::memcmp(bytes.data(), values.data(), 12), 0);
  convert_from_float(values.data(), DType::f16, bytes.data(), 3);
  std::memcpy(halves.data(), bytes.data(), 6);
  EXPECT_THAT(halves, ElementsAre(0x3c00, 0xc000, 0x3555));
  convert_from_float(values.data(), DType::bf16, bytes.data(), 3);
  std::memcpy(halves.data(), bytes.data(), 6);
  EXPECT_THAT(halves, ElementsAre(0x3f80, 0xc000, 0x3eab));
}

}  // namespace
}  // namespace incipit
