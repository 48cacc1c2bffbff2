// A weight format is data: the examples', and those of four bits, are built into engines, read by a kernel in the
// layout that it states, and computed as the graph's interpreter does.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/safetensors.h"
#include "engine/plan_items.h"
#include "graph/graph.h"
#include "passes/pass.h"
#include "quant/format.h"
#include "support/driver.h"
#include "support/reference_models.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

std::vector<float> interpreted_logits(const std::filesystem::path& checkpoint, const std::string& precision,
                                      const std::vector<int32_t>& ids) {
  Model model = import_model(checkpoint);
  PassOptions passes;
  passes.precision = precision;
  run_passes(model.graph, passes);
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<int32_t> numbers(ids.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  const Tensor tokens = Tensor::of({count}, std::span<const int32_t>(ids)),
               positions = Tensor::of({count}, std::span<const int32_t>(numbers));
  const Tensor* inputs[] = {&tokens, &positions, &positions};
  ReferenceCache cache;
  const std::vector<Tensor> outputs = interpret(model.graph, inputs, cache);
  const auto logits = outputs.at(0).as<float>();
  return {logits.begin(), logits.end()};
}

/// The largest difference, in units of the largest of what is wanted.
double relative_distance(std::span<const float> found, std::span<const float> wanted) {
  EXPECT_EQ(found.size(), wanted.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
    const double error = std::abs(static_cast<double>(found[i]) - wanted[i]);
    worst = std::max(worst, std::isnan(error) ? HUGE_VAL : error);
    largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
  }
  return worst / largest;
}

/// A format, and a target with the layout that its kernels read.
class BlockFormats : public testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(BlockFormats, AreBuiltAndComputeWhatTheirGraphDoes) {
  const auto& [precision, target, layout] = GetParam();
  const NamedWeightFormat& format = weight_format(precision);
  const TemporaryDirectory directory;
  CompileOptions options;
  options.precision = precision;
  options.target = target;
  options.tune = false;
  const std::filesystem::path checkpoint = reference_checkpoint("llama-mha");
  const auto engine = compile_for_test(checkpoint, directory / "added.engine", options);
  engine->check_weights();
  int products = 0;
  for (const plan::Weight* weight : items(engine->plan().weights())) {
    if (text(weight->layout()) == "dense") continue;
    EXPECT_EQ(text(weight->layout()), layout);
    const std::string name(text(weight->name()));
    const bool is_sensitive = weight->rows() == engine->plan().vocabulary() ||
                              std::ranges::any_of(std::array{"qkv_proj", "kv_proj", "q_proj"},
                                                  [&](const char* part) { return name.find(part) != name.npos; });
    const NamedWeightFormat& wanted =
        is_sensitive && !format.sensitive.empty() ? weight_format(format.sensitive) : format;
    EXPECT_EQ(text(weight->format()), to_text(wanted.format));
    ++products;
  }
  EXPECT_EQ(products, 4 + 5 + 1);  // two layers, of which the last has queries by themselves, and the head

  const SafetensorsFile golden = SafetensorsFile::open(reference_golden("llama-mha"));
  const Tensor ids = golden.load("input_ids"), wanted = golden.load("logits");
  const auto prompt = ids.as<int32_t>().first(static_cast<size_t>(ids.shape().at(1)));
  const std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  Driver driver(engine, 2);
  driver.start(0);
  const std::vector<float> found = driver.logits({{0, tokens, {}}});
  // Caches are bf16, and a softmax's weights may be: a few roundings are the engine's own. Where rows are bf16 too,
  // sums in another order round some of them to the next number, 2^-8 away, some dozens of times; and where a product
  // writes its keys and values itself, they are rounded once and not twice. The next code of eight bits is 2^-7 of a
  // row's largest away. What is wrong is off by a logit.
  const bool rounds_otherwise = format.format.activation == DType::bf16 || engine->target().backend == Backend::shadow;
  const double own_rounding = format.format.activation == DType::i8 ? 8e-2 : rounds_otherwise ? 4e-2 : 8e-3;
  EXPECT_LT(relative_distance(found, interpreted_logits(checkpoint, precision, tokens)), own_rounding);
  EXPECT_LT(relative_distance(found, wanted.as<float>().first(found.size())), format.tolerance);
}

std::string test_name(const testing::TestParamInfo<std::tuple<const char*, const char*, const char*>>& instance) {
  std::string name = std::get<0>(instance.param) + std::string("_") + std::get<1>(instance.param);
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(FourBits, BlockFormats,
                         testing::Combine(testing::Values("int4", "int4-g32", "int4-g128", "int4-zero",
                                                          "int4-zero-g32"),
                                          testing::Values("cpu-generic", "native"), testing::Values("panel16")),
                         test_name);
INSTANTIATE_TEST_SUITE_P(FourBitsOnAnAccelerator, BlockFormats,
                         testing::Combine(testing::Values("int4", "int4-zero-g32"), testing::Values("shadow"),
                                          testing::Values("k_major8")),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Added, BlockFormats,
                         testing::Values(std::tuple("grouped-i8", "native", "panel16"),
                                         std::tuple("grouped-i8", "shadow", "k_major8"),
                                         std::tuple("asymmetric-u8", "native", "k_major8")),
                         test_name);

}  // namespace
}  // namespace incipit
