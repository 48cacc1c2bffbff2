// Weights that formats with scales are easily wrong about: few channels a hundred times as large as all others, layers
// that are zero, numbers too small for a scale. What the format's own rounding explains is not exceeded by much, or it
// is said that numbers were lost; what no code can store is refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/safetensors.h"
#include "graph/graph.h"
#include "import/import.h"
#include "passes/pass.h"
#include "quant/format.h"
#include "tiny_decoder.h"

namespace incipit {
namespace {

using Edit = std::function<void(std::string_view weight, Tensor& values)>;

/// A row of the tensor's matrix, or a vector's element, times a factor; or a column.
void scale_rows(Tensor& values, int64_t first, int64_t count, float factor) {
  const int64_t width = values.elements() / values.shape()[0];
  for (int64_t i = first * width; i < (first + count) * width; ++i)
    values.as<float>()[static_cast<size_t>(i)] *= factor;
}
void scale_columns(Tensor& values, int64_t count, float factor) {
  const int64_t width = values.shape().back();
  for (int64_t i = 0; i < values.elements(); ++i) {
    if (i % width < count) values.as<float>()[static_cast<size_t>(i)] *= factor;
  }
}

/// Of two layers, the first one's weights.
bool is(std::string_view weight, std::string_view name) {
  return weight == "model.layers.0." + std::string(name) + ".weight";
}

struct Hostile {
  std::string name;
  Edit edit;
  bool loses_numbers = false;
};

/// The first two compute what the model does.
std::vector<Hostile> hostile_models() {
  return {{"large inputs",
           [](std::string_view weight, Tensor& values) {
             if (is(weight, "post_attention_layernorm")) scale_rows(values, 0, 2, 100);
             if (is(weight, "mlp.gate_proj") || is(weight, "mlp.up_proj")) scale_columns(values, 2, 0.01F);
           }},
          {"large outputs",
           [](std::string_view weight, Tensor& values) {
             if (is(weight, "mlp.up_proj")) scale_rows(values, 0, 2, 100);
             if (is(weight, "mlp.down_proj")) scale_columns(values, 2, 0.01F);
           }},
          {"a dead layer",
           [](std::string_view weight, Tensor& values) {
             if (weight.starts_with("model.layers.0.") && values.shape().size() == 2) {
               scale_rows(values, 0, values.shape()[0], 0);
             }
           }},
          {"dead outputs",
           [](std::string_view weight, Tensor& values) {
             if (values.shape().size() == 2 && weight.starts_with("model.layers.")) scale_rows(values, 1, 3, 0);
           }},
          {"scales that underflow",
           [](std::string_view weight, Tensor& values) {
             if (is(weight, "mlp.down_proj")) scale_rows(values, 0, values.shape()[0], 1e-38F);
             if (is(weight, "self_attn.o_proj")) scale_rows(values, 0, 5, 1e-42F);
           },
           true},
          // What is lost here matters.
          {"scales near the largest float",
           [](std::string_view weight, Tensor& values) {
             if (is(weight, "mlp.up_proj")) scale_rows(values, 0, values.shape()[0], 1e37F);
             if (is(weight, "mlp.down_proj")) scale_rows(values, 0, values.shape()[0], 1e-37F);
           },
           true}};
}

class HostileWeights : public testing::TestWithParam<std::string> {
 protected:
  static inline const std::filesystem::path directory =
      std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/fixtures/reference/llama-gqa-tied";

  static Graph edited(const Edit& edit) {
    Graph graph = import_model(directory).graph;
    for (const ValueId id : graph.constants()) {
      const ConstantPtr constant = graph.value(id).constant;
      if (constant->dtype() != DType::f32) continue;
      Tensor values = constant->materialise();
      edit(graph.value(id).name, values);
      graph.set_constant(id, name_tensor(make_constant(std::move(values)), graph.value(id).name));
    }
    return graph;
  }
  static std::vector<float> logits(const Graph& model, const std::string& precision) {
    Graph graph = model.clone();
    PassOptions options;
    options.precision = precision;
    run_passes(graph, options);
    const Tensor ids = SafetensorsFile::open(directory / "golden.safetensors").load("input_ids");
    const std::span<const int32_t> prompt = ids.as<int32_t>().first(static_cast<size_t>(ids.shape().back()));
    const std::vector<int32_t> last{static_cast<int32_t>(prompt.size()) - 1};
    return logits_of(graph, prompt, last);
  }
};

TEST_P(HostileWeights, AreOffByWhatTheFormatExplainsOrSaidToBeLost) {
  for (const auto& [name, edit, loses_numbers] : hostile_models()) {
    const Graph model = edited(edit);
    const std::vector<float> wanted = logits(model, "f32");
    testing::internal::CaptureStderr();
    configure_logging("warn");
    const std::vector<float> got = logits(model, GetParam());
    const std::string said = testing::internal::GetCapturedStderr();
    const size_t lost = said.find("[warning] model.layers.0.mlp.down_proj.weight: numbers up to ");
    EXPECT_EQ(lost != std::string::npos, loses_numbers) << name << ": " << said;
    float largest = 0, off = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_TRUE(std::isfinite(got[i])) << name;
      largest = std::max(largest, std::fabs(wanted[i]));
      off = std::max(off, std::fabs(got[i] - wanted[i]));
    }
    // Large channels coarsen the codes of those beside them.
    if (!loses_numbers) {
      EXPECT_LE(off, 1.5 * weight_format(GetParam()).tolerance * largest) << name;
    }
  }
}

TEST_P(HostileWeights, ThatAreNotFiniteAreRefusedByName) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const Graph model = edited([&](std::string_view weight, Tensor& values) {
      if (is(weight, "mlp.down_proj")) values.as<float>()[7] = bad;
    });
    try {
      logits(model, GetParam());
      ADD_FAILURE() << "nothing was said";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("NaN or infinity"), std::string::npos) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, HostileWeights, testing::Values("int8", "int4", "int4-zero-g32"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace incipit
