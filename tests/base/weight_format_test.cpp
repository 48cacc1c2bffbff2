#include "base/weight_format.h"

#include <gtest/gtest.h>

#include <vector>

namespace incipit {
namespace {

TEST(WeightFormat, HasOneText) {
  const std::pair<WeightFormat, const char*> texts[] = {
      {WeightFormat::f32, "f32"},
      {WeightFormat::bf16, "bf16"},
      {WeightFormat::f16, "fp16"},
      {WeightFormat::i8, "int8"},
      {{DType::bf16, DType::f32, 1, 0, {}, {}}, "bf16:f32"},
      {{DType::i8, DType::f32, 1, 32, DType::bf16, {}}, "i8:f32:1x32:bf16"},
      {{DType::i8, DType::i8, 128, 128, DType::f32, {}}, "i8:i8:128x128:f32"},
      {{DType::u8, DType::bf16, 1, 64, DType::f16, DType::u8}, "u8:bf16:1x64:f16:u8"},
      {{DType::i8, DType::f32, 0, 0, DType::f32, {}}, "i8:f32:0x0:f32"},
      {WeightFormat::i4(64), "i4:i8:1x64:bf16"},
      {WeightFormat::u4(128), "u4:i8:1x128:bf16:u8"},
      {{DType::u8, DType::bf16, 1, 32, DType::f16, {}, true}, "u4:bf16:1x32:f16"},
  };
  for (const auto& [format, text] : texts) {
    EXPECT_EQ(to_text(format), text);
    const auto read = weight_format_from_text(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, format) << text;
  }
}

TEST(WeightFormat, RefusesOtherTexts) {
  for (const char* text : {"",
                           "int4",
                           "f16",
                           "i8",
                           ":",
                           "f32:f32",
                           "i8:f32:",
                           "i8:f32:1x32",
                           "i8:f32:1x32:",
                           "i8:f32:x:bf16",
                           "i8:f32:1x:bf16",
                           "i8:f32:132:bf16",
                           "i8:f32:1x032:bf16",
                           "i8:f32:-1x32:bf16",
                           "i8:f32:1x32:i8",
                           "i8:f32:1x99999999999:bf16",
                           "i32:f32:1x32:f32",
                           "i8:f64:1x32:f32",
                           "i8:f32:1x32:bf16:f32",
                           "i8:f32:1x32:bf16:u8:u8",
                           "i8:f32:1x32:bf16 ",
                           "i8:i8:1x0:f32"}) {
    EXPECT_FALSE(weight_format_from_text(text)) << text;
  }
}

TEST(WeightFormat, CountsBytes) {
  EXPECT_EQ(WeightFormat::bf16.bytes_of(7), 14);
  EXPECT_EQ(WeightFormat::i8.bytes_of(7), 7);
  EXPECT_EQ(WeightFormat::i4(64).bytes_of(8), 4);
  EXPECT_EQ(WeightFormat::i4(64).bytes_of(7), 4);
}

TEST(WeightFormat, CountsBlocks) {
  const WeightFormat format{DType::i8, DType::f32, 4, 32, DType::bf16, {}};
  EXPECT_EQ(format.blocks_of_n(8), 2);
  EXPECT_EQ(format.blocks_of_n(9), 3);
  EXPECT_EQ(format.blocks_of_k(31), 1);
  EXPECT_EQ(format.blocks_of_k(33), 2);
  EXPECT_EQ(WeightFormat::i8.blocks_of_n(9), 9);
  EXPECT_EQ(WeightFormat::i8.blocks_of_k(9), 1);
}

TEST(WeightFormat, SumsBlockByBlock) {
  const WeightFormat format{DType::i8, DType::f32, 1, 2, DType::f32, {}};
  const std::vector<double> x{1, 2, 3, 4, 5}, codes{1, -1, 2, 0, 3}, scales{10, 100, 1000};
  const auto at = [](const std::vector<double>& values) {
    return [&](int64_t i) { return values[static_cast<size_t>(i)]; };
  };
  EXPECT_EQ(sum_of_blocks(format, 5, at(x), at(codes), at(scales)), -1 * 10 + 6 * 100 + 15 * 1000);
  EXPECT_EQ(sum_of_blocks(WeightFormat::f32, 5, at(x), at(codes), at(scales)), 20);
}

}  // namespace
}  // namespace incipit
