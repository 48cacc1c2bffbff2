// Checkpoints in the forms that others quantise to, as tests/fixtures/quantized/make_quantized.py wrote them by the
// published definitions.
#include "import/hf/quantized_checkpoint.h"

#include <gmock/gmock.h>

#include <functional>

#include "support/message_of.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path quantized_fixtures = std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/fixtures/quantized";

class QuantizedCheckpoints : public ::testing::TestWithParam<const char*> {};

TEST_P(QuantizedCheckpoints, GiveTheNumbersOfTheirCodesBitForBit) {
  const std::filesystem::path directory = quantized_fixtures / GetParam();
  Checkpoint checkpoint = Checkpoint::open(directory);
  QuantizedCheckpoint numbers(HfConfig::read(directory), checkpoint);
  EXPECT_TRUE(numbers.contains("m.weight"));
  EXPECT_FALSE(numbers.contains("n.weight"));
  const Tensor expected = checkpoint.take_stored("expected")->materialise();
  const ConstantPtr weight = numbers.take("m.weight", expected.shape());
  const Tensor all = weight->materialise();
  ASSERT_EQ(all.dtype(), expected.dtype());
  const auto bytes = [](const Tensor& tensor) {
    return std::string(reinterpret_cast<const char*>(tensor.data()), tensor.bytes());
  };
  EXPECT_EQ(bytes(all), bytes(expected));
  EXPECT_TRUE(checkpoint.untaken().empty());
  // A part of it is the same part.
  constexpr int64_t first = 5, count = 9, column = 13, columns = 41;
  Tensor part(all.dtype(), {count, columns});
  weight->read_columns(first, count, column, columns, part.data());
  std::vector<float> whole(static_cast<size_t>(all.elements())), few(static_cast<size_t>(part.elements()));
  convert_to_float(all.dtype(), all.data(), whole.data(), whole.size());
  convert_to_float(part.dtype(), part.data(), few.data(), few.size());
  for (int64_t n = 0; n < count; ++n) {
    for (int64_t k = 0; k < columns; ++k) {
      ASSERT_EQ(few[static_cast<size_t>(n * columns + k)],
                whole[static_cast<size_t>((first + n) * all.shape()[1] + column + k)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedCheckpoints,
                         ::testing::Values("gptq-4", "gptq-4-act-order", "gptq-8", "awq-4", "compressed-4",
                                           "compressed-4-zero", "compressed-int8", "compressed-fp8", "fp8-tensor",
                                           "fp8-block"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

/// What a checkpoint says to a config of its own, for a weight of [outputs, inputs].
std::string fault_of_quantized(const char* fixture, const std::string& quantization, int64_t outputs = 24,
                               int64_t inputs = 96) {
  return message_of([&] {
    Checkpoint checkpoint = Checkpoint::open(quantized_fixtures / fixture);
    const HfConfig config = HfConfig::parse("config.json", R"({"quantization_config":)" + quantization + "}");
    QuantizedCheckpoint(config, checkpoint).take("m.weight", {outputs, inputs})->materialise();
  });
}

TEST(QuantizedCheckpointFaults, AreNamedInALine) {
  EXPECT_THAT(
      fault_of_quantized("gptq-4", R"({"quant_method":"bitsandbytes"})"),
      HasSubstr("config.json: quantization_config.quant_method \"bitsandbytes\" is not read; read are gptq, awq"));
  EXPECT_THAT(fault_of_quantized("gptq-4", R"({"quant_method":"gptq","bits":3,"group_size":32})"),
              HasSubstr("config.json: quantization_config.bits 3 is not read; read are 2, 4 and 8"));
  EXPECT_THAT(fault_of_quantized("gptq-4", R"({"quant_method":"gptq","bits":4,"checkpoint_format":"marlin"})"),
              HasSubstr("checkpoint_format \"marlin\" is not read"));
  EXPECT_THAT(fault_of_quantized("awq-4", R"({"quant_method":"awq","bits":4,"version":"gemv"})"),
              HasSubstr("version \"gemv\" is not read"));
  EXPECT_THAT(fault_of_quantized("compressed-4", R"({"quant_method":"compressed-tensors","format":"marlin-24"})"),
              HasSubstr("format \"marlin-24\" is not read"));
  EXPECT_THAT(fault_of_quantized("gptq-4", R"({"quant_method":"gptq","bits":8,"group_size":32})"),
              HasSubstr("its codes are i32 [12, 24], where i32 [24, 24] belongs to 8 bits"));
  EXPECT_THAT(fault_of_quantized("awq-4", R"({"quant_method":"awq","bits":4,"group_size":16})"),
              HasSubstr("has an input of group 3, of 3"));
  EXPECT_THAT(fault_of_quantized("gptq-4", R"({"quant_method":"gptq","bits":4,"group_size":0})"),
              HasSubstr("group_size is 0"));
  EXPECT_THAT(
      fault_of_quantized("compressed-4", R"({"quant_method":"compressed-tensors","format":"pack-quantized"})", 24, 88),
      HasSubstr("m.weight_shape: is not [24, 88]"));
  EXPECT_THAT(fault_of_quantized("fp8-block", R"({"quant_method":"fp8","weight_block_size":[8,32]})"),
              HasSubstr("has scales of shape [2, 3], where [3, 3] belongs to it"));
}

}  // namespace
}  // namespace incipit
