// What a tensor map may be: the rules that CUDA's driver states for cuTensorMapEncodeTiled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/tensor_map.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

const std::byte* address(uint64_t value) { return reinterpret_cast<const std::byte*>(value); }

/// In memory without an end.
std::string fault_of(const TensorMap& map) { return fault_of(map, ~uint64_t{0}); }

TensorMap good() { return rows_map("weight", address(1 << 20), DType::bf16, 100, 96, 128); }

TEST(TensorMaps, OfRowsTakeBoxesOfTheSwizzle) {
  const TensorMap map = good();
  EXPECT_EQ(fault_of(map), "");
  EXPECT_EQ(map.extents[0], 96);
  EXPECT_EQ(map.strides[1], 256);
  EXPECT_EQ(map.box[0], 64);
  EXPECT_EQ(rows_map("codes", nullptr, DType::i8, 1, 64, 64).box[0], 128);
  EXPECT_EQ(fault_of(rows_map("codes", nullptr, DType::i8, 1, 64, 64)), "");
}

TEST(TensorMaps, BeginAtMultiplesOfSixteen) {
  for (const uint64_t base : {0u, 16u, 4096u}) {
    EXPECT_EQ(fault_of(rows_map("weight", address(base), DType::f32, 1, 4, 4)), "") << base;
  }
  for (const uint64_t base : {1u, 4u, 8u, 4100u}) {
    EXPECT_THAT(fault_of(rows_map("weight", address(base), DType::f32, 1, 4, 4)), HasSubstr("multiple of 16")) << base;
  }
}

TEST(TensorMaps, HaveStridesOfMultiplesOfSixteenBelowATerabyte) {
  EXPECT_EQ(fault_of(rows_map("weight", nullptr, DType::f32, 2, 4, 4)), "");
  EXPECT_THAT(fault_of(rows_map("weight", nullptr, DType::f32, 2, 4, 6)), HasSubstr("24 bytes apart"));
  EXPECT_THAT(fault_of(rows_map("weight", nullptr, DType::i8, 2, 4, 8)), HasSubstr("8 bytes apart"));
  EXPECT_NE(fault_of(rows_map("weight", nullptr, DType::i8, 2, 4, int64_t{1} << 40)), "");
  EXPECT_EQ(fault_of(rows_map("weight", nullptr, DType::i8, 2, 4, (int64_t{1} << 40) - 16)), "");
}

TEST(TensorMaps, HaveOneToFiveDimensionsThatAreNotEmpty) {
  TensorMap map = good();
  map.rank = 0;
  EXPECT_NE(fault_of(map), "");
  map.rank = 6;
  EXPECT_NE(fault_of(map), "");
  for (const int64_t extent : {int64_t{0}, (int64_t{1} << 32) + 1}) {
    map = good();
    map.extents[1] = extent;
    EXPECT_THAT(fault_of(map), HasSubstr("dimension 1")) << extent;
  }
}

TEST(TensorMaps, EndWhereTheirMemoryDoes) {
  constexpr uint64_t bytes = (99 * 128 + 96) * 2;
  EXPECT_EQ(fault_of(good(), bytes), "");
  EXPECT_THAT(fault_of(good(), bytes - 1), HasSubstr("takes 25536 bytes"));
  EXPECT_THAT(fault_of(good(), 0), HasSubstr("there are 0"));
}

TEST(TensorMaps, HaveBoxesThatSharedMemoryTakes) {
  for (const int32_t rows : {0, 257}) {
    TensorMap map = good();
    map.box[1] = rows;
    EXPECT_THAT(fault_of(map), HasSubstr("1 to 256")) << rows;
  }
  for (const int32_t columns : {4, 60, 72, 128}) {  // bytes: 8, 120, 144, 256
    TensorMap map = good();
    map.box[0] = columns;
    EXPECT_THAT(fault_of(map), HasSubstr("of a row at a time")) << columns;
  }
  TensorMap map = good();
  map.strides[0] = 4;
  EXPECT_THAT(fault_of(map), HasSubstr("gaps"));
}

}  // namespace
}  // namespace incipit
