// What a text shows of a model: windows, statistics, and that they are of what products read.
#include "calibrate/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "base/error.h"
#include "calibrate/collect.h"
#include "support/compile_for_test.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

std::vector<int32_t> counted(int32_t count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(CalibrationWindows, EveryTenthIsHeldOut) {
  const CalibrationWindows windows = calibration_windows(counted(2057), 64);
  EXPECT_EQ(windows.window, 64);
  EXPECT_EQ(windows.seen.size(), 29);
  EXPECT_EQ(windows.held_out.size(), 3 * 64);
  EXPECT_EQ(windows.held_out[0], 9 * 64);
  for (const std::vector<int32_t>& window : windows.seen) EXPECT_NE(window[0] / 64 % 10, 9);
}

TEST(CalibrationWindows, AShortTextHasShortOnes) {
  const CalibrationWindows windows = calibration_windows(counted(400), 512);
  EXPECT_EQ(windows.window, 40);
  EXPECT_EQ(windows.seen.size(), 9);
  EXPECT_EQ(windows.held_out.size(), 40);
  EXPECT_THROW(calibration_windows(counted(159), 512), Error);
  EXPECT_THROW(calibration_windows({}, 512), Error);
}

TEST(CalibrationWindows, ALongTextIsReadHereAndThere) {
  const CalibrationWindows windows = calibration_windows(counted(16 * 100'000), 16);
  EXPECT_EQ(windows.seen.size(), 144);
  EXPECT_EQ(windows.held_out.size(), 16 * 16);
  EXPECT_GT(windows.seen.back()[0], 16 * 95'000);
}

/// Rows whose stride is more than their width.
std::vector<float> random_rows(int64_t rows, int64_t stride) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(rows * stride));
  for (float& value : values) value = normal(random);
  return values;
}

TEST(InputStatistics, AreTheSumsOverAllRows) {
  const TemporaryDirectory folder;
  for (const int64_t width : {1, 37, 275}) {
    const int64_t rows = 150, stride = width + 3;
    const std::vector<float> values = random_rows(rows, stride);
    std::vector<std::vector<float>> found;
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      InputMoments moments(width, folder / "");
      ColumnStatistics columns(width);
      for (const int64_t first : {0, 7}) {
        const InputRows some{values.data() + first * stride, first == 0 ? 7 : rows - 7, width, stride};
        moments.add(some, pool);
        columns.add(some);
      }
      found.emplace_back(static_cast<size_t>(width * width));
      moments.constant()->read_floats(0, width, found.back().data());
      EXPECT_EQ(columns.rows(), rows);
      for (int64_t i = 0; i < width; ++i) {
        double most = 0, sum = 0, square = 0;
        for (int64_t r = 0; r < rows; ++r) {
          const auto x = static_cast<double>(std::fabs(values[static_cast<size_t>(r * stride + i)]));
          most = std::max(most, x), sum += x, square += x * x;
        }
        EXPECT_EQ(static_cast<double>(columns.largest()[static_cast<size_t>(i)]), most);
        EXPECT_NEAR(columns.mean_magnitudes()[static_cast<size_t>(i)], sum / rows, 1e-5);
        EXPECT_NEAR(columns.mean_squares()[static_cast<size_t>(i)], square / rows, 1e-5);
      }
    }
    EXPECT_EQ(found[0], found[1]);
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        double sum = 0;
        for (int64_t r = 0; r < rows; ++r) {
          sum += static_cast<double>(values[static_cast<size_t>(r * stride + i)]) *
                 static_cast<double>(values[static_cast<size_t>(r * stride + j)]);
        }
        ASSERT_NEAR(found[0][static_cast<size_t>(i * width + j)], sum, 1e-3) << i << ", " << j;
      }
    }
  }
}

TEST(Collect, SeesWhatProductsRead) {
  const TemporaryDirectory folder;
  const std::filesystem::path model_path = fixtures() / "reference" / "llama-gqa-tied";
  CompileOptions compiled;
  compiled.max_context = 32;
  const auto engine = compile_for_test(model_path, folder / "engine", calibrated_reference(compiled));
  const std::vector<std::vector<int32_t>> windows{counted(32), {5, 5, 3}};
  CollectOptions options;
  options.folder = folder / "";
  options.moments = {"model.layers.0.self_attn.qkv_proj"};
  int64_t tokens = 0;
  const TextStatistics found = collect(engine, windows, options, [&](int64_t count) { tokens += count; });
  EXPECT_EQ(tokens, 35);
  ASSERT_TRUE(found.columns.contains("model.layers.0.self_attn.qkv_proj"));
  EXPECT_TRUE(found.columns.contains("model.layers.0.mlp.down_proj"));
  ASSERT_EQ(found.moments.size(), 1);

  // The first product reads the embeddings' norm, which is quick to compute.
  const Model model = import_model(model_path);
  std::vector<float> table, gain;
  for (const ValueId id : model.graph.constants()) {
    const Value& value = model.graph.value(id);
    const auto read = [&](std::vector<float>& values) {
      values.resize(static_cast<size_t>(element_count(value.constant->shape())));
      value.constant->read_floats(0, value.constant->rows(), values.data());
    };
    if (value.name == "model.embed_tokens.weight") read(table);
    if (value.name == "model.layers.0.input_layernorm.weight") read(gain);
  }
  const auto width = static_cast<size_t>(model.hidden);
  ASSERT_EQ(gain.size(), width);
  std::vector<double> largest(width), squares(width);
  for (const std::vector<int32_t>& window : windows) {
    for (const int32_t id : window) {
      const float* const row = table.data() + static_cast<size_t>(id) * width;
      double square = 0;
      for (size_t c = 0; c < width; ++c) square += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      const double scale = 1 / std::sqrt(square / static_cast<double>(width) + 1e-5);
      for (size_t c = 0; c < width; ++c) {
        const double x = static_cast<double>(row[c]) * scale * static_cast<double>(gain[c]);
        largest[c] = std::max(largest[c], std::fabs(x));
        squares[c] += x * x;
      }
    }
  }
  const ColumnStatistics& columns = found.columns.at("model.layers.0.self_attn.qkv_proj");
  std::vector<float> moments(width * width);
  found.moments.begin()->second->read_floats(0, static_cast<int64_t>(width), moments.data());
  for (size_t c = 0; c < width; ++c) {
    EXPECT_NEAR(static_cast<double>(columns.largest()[c]), largest[c], 1e-3 * largest[c] + 1e-5);
    EXPECT_NEAR(static_cast<double>(moments[c * width + c]), squares[c], 1e-3 * squares[c] + 1e-5);
  }
}

}  // namespace
}  // namespace incipit
