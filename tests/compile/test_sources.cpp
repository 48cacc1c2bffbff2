#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "engine/plan_generated.h"
#include "import/import.h"
#include "kernels/packing.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

std::shared_ptr<const Engine> engine_of(const std::filesystem::path& model, const std::string& precision) {
  const TemporaryDirectory directory;
  CompileOptions options;
  options.precision = precision;
  options.tune = false;
  Progress quiet(false);
  compile(import_model(model), options, directory / "out.engine", quiet);
  return Engine::open(directory / "out.engine");
}

/// All elements of a tensor, as floats.
std::vector<float> read_tensor(const SafetensorsFile& file, const std::string& tensor) {
  const Tensor whole = file.load(tensor);
  std::vector<float> values(static_cast<size_t>(element_count(whole.shape())));
  convert_to_float(whole.dtype(), whole.data(), values.data(), values.size());
  return values;
}

/// The rows of a weight of an f32 engine, those of all experts.
std::vector<float> read_weight(const Engine& engine, const plan::Weight& weight) {
  const std::byte* const bytes = engine.body().data() + weight.planes()->Get(0)->offset();
  const auto columns = size_t{weight.columns()}, rows = size_t{weight.rows()} * weight.experts();
  std::vector<float> values(rows * columns);
  const WeightLayout* const layout = find_weight_layout(weight.layout()->string_view());
  if (layout == nullptr) {
    std::memcpy(values.data(), bytes, values.size() * sizeof(float));
    return values;
  }
  const WeightShape shape =
      weight_shape(WeightFormat::f32, weight.rows(), weight.columns(), weight.pairing() == plan::Pairing::gate_up);
  for (size_t row = 0; row < rows; ++row) {
    PackedWeight packed;
    packed.codes = bytes + static_cast<int64_t>(row / weight.rows()) * packed_shape(*layout, shape).bytes();
    const WeightReader reader(*layout, shape, packed);
    reader.read(static_cast<int64_t>(row % weight.rows()), values.data() + row * columns);
  }
  return values;
}

class WeightSources : public testing::TestWithParam<std::string> {};

// These models multiply no weight by a number.
TEST_P(WeightSources, LeadToTheNumbersOfTheWeight) {
  const std::filesystem::path model = fixtures() / "reference" / GetParam();
  const SafetensorsFile file = SafetensorsFile::open(model / "model.safetensors");
  const auto engine = engine_of(model, "f32");
  for (const plan::Weight* weight : *engine->plan().weights()) {
    if (weight->columns() == 1 && weight->sources() == nullptr) continue;  // frequencies, slopes
    ASSERT_NE(weight->sources(), nullptr) << weight->name()->str();
    std::vector<float> expected;
    for (const plan::WeightSource* source : *weight->sources()) {
      const std::vector<float> tensor = read_tensor(file, source->tensor()->str());
      const bool has_gain = source->gain() != nullptr && source->gain()->size() > 0;
      const std::vector<float> gain =
          has_gain ? read_tensor(file, source->gain()->str()) : std::vector<float>(weight->columns(), 1.0F);
      for (uint64_t r = 0; r < source->rows(); ++r) {
        for (uint64_t c = 0; c < weight->columns(); ++c) {
          expected.push_back(tensor.at(source->first() + r * source->row_step() + c * source->column_step()) *
                             gain.at(c));
        }
      }
    }
    EXPECT_EQ(read_weight(*engine, *weight), expected) << weight->name()->str();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, WeightSources,
                         testing::Values("llama-mha", "gpt2", "gpt-neox", "bloom", "mixtral", "qwen3-moe",
                                         "phi3-longrope"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(WeightSourcesOnce, AreToldInEveryPrecision) {
  const std::filesystem::path model = fixtures() / "reference" / "gemma3";
  for (const std::string precision : {"bf16", "fp16", "int8"}) {
    const auto engine = engine_of(model, precision);
    for (const plan::Weight* weight : *engine->plan().weights()) {
      EXPECT_TRUE(weight->columns() == 1 || weight->sources() != nullptr) << precision << " " << weight->name()->str();
    }
  }
}

}  // namespace
}  // namespace incipit
