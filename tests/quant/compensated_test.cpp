// Rounding with compensation: against numpy's, and what it is for.
#include "quant/compensated.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <vector>

#include "base/error.h"
#include "quant/format.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

std::vector<float> all_floats(const Constant& constant) {
  std::vector<float> values(static_cast<size_t>(element_count(constant.shape())));
  constant.read_floats(0, constant.rows(), values.data());
  return values;
}

/// fixtures/gptq/make_gptq.py's.
struct NumpyGptq {
  int64_t rows = 0, n = 0, k = 0, group = 0;
  std::vector<float> x, weight, codes, scales;

  NumpyGptq() {
    std::ifstream file(fixtures() / "gptq/gptq.txt");
    file >> rows >> n >> k >> group;
    const auto read = [&](std::vector<float>& values, int64_t count, float unit) {
      for (values.resize(static_cast<size_t>(count)); float& value : values) file >> value, value *= unit;
    };
    read(x, rows * k, 1);
    read(weight, n * k, 1.0F / 1024);
    read(codes, n * k, 1);
    read(scales, n * ((k + group - 1) / group), 1);
    EXPECT_TRUE(file.good() || file.eof());
  }
  ConstantPtr weight_constant() const { return make_constant(Tensor::of({n, k}, std::span<const float>(weight))); }
  ConstantPtr moments() const {
    std::vector<float> sums(static_cast<size_t>(k * k));
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        double sum = 0;
        for (int64_t r = 0; r < rows; ++r) {
          sum += static_cast<double>(x[static_cast<size_t>(r * k + i)]) *
                 static_cast<double>(x[static_cast<size_t>(r * k + j)]);
        }
        sums[static_cast<size_t>(i * k + j)] = static_cast<float>(sum);
      }
    }
    return make_constant(Tensor::of({k, k}, std::span<const float>(sums)));
  }
  /// Σ over rows and outputs of the squared error of the product.
  double output_error(const WeightFormat& format, const std::vector<float>& found, const std::vector<float>& scale,
                      const std::vector<float>& zeros = {}) const {
    const int64_t blocks = format.blocks_of_k(k);
    double total = 0;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < n; ++o) {
        double sum = 0;
        for (int64_t c = 0; c < k; ++c) {
          const auto at = static_cast<size_t>(o * k + c), block = static_cast<size_t>(o * blocks + c / format.block_k);
          const float zero = zeros.empty() ? 0 : zeros[block];
          const double value = static_cast<double>((found[at] - zero) * scale[block]);
          sum += static_cast<double>(x[static_cast<size_t>(r * k + c)]) * (static_cast<double>(weight[at]) - value);
        }
        total += sum * sum;
      }
    }
    return total;
  }
};

TEST(CompensatedRounding, FindsWhatNumpyFinds) {
  const NumpyGptq numpy;
  const WeightFormat format = WeightFormat::i4(static_cast<int32_t>(numpy.group));
  const QuantizedConstant planes =
      quantize_compensated(format, numpy.weight_constant(), numpy.moments(), std::make_shared<CompensatedRounding>());
  const std::vector<float> codes = all_floats(*planes.codes), scales = all_floats(*planes.scales);
  // In float32 a number that lies between two codes may fall to the other side, and takes those behind it along.
  int64_t different = 0;
  for (size_t i = 0; i < codes.size(); ++i) different += codes[i] != numpy.codes[i] ? 1 : 0;
  EXPECT_LE(different, numpy.n * numpy.k / 50);
  for (size_t i = 0; i < scales.size(); ++i) EXPECT_NEAR(scales[i], numpy.scales[i], std::fabs(numpy.scales[i]) / 128);
  const double expected = numpy.output_error(format, numpy.codes, numpy.scales);
  EXPECT_NEAR(numpy.output_error(format, codes, scales), expected, expected / 50);
}

TEST(CompensatedRounding, ChangesProductsLessThanTheNearestCodesDo) {
  const NumpyGptq numpy;
  for (const char* name : {"int4-g32", "int4", "int4-zero-g32", "int4-zero"}) {
    SCOPED_TRACE(name);
    const NamedWeightFormat& named = weight_format(name);
    const auto error_of = [&](const QuantizedConstant& planes) {
      return numpy.output_error(named.format, all_floats(*planes.codes), all_floats(*planes.scales),
                                planes.zero_points ? all_floats(*planes.zero_points) : std::vector<float>{});
    };
    const double nearest = error_of(named.quantize(numpy.weight_constant()));
    const double compensated = error_of(quantize_compensated(named.format, numpy.weight_constant(), numpy.moments(),
                                                             std::make_shared<CompensatedRounding>()));
    EXPECT_LT(compensated, nearest / 2);
  }
}

TEST(CompensatedRounding, OfInputsThatHaveNothingInCommonIsTheNearest) {
  const NumpyGptq numpy;
  std::vector<float> identity(static_cast<size_t>(numpy.k * numpy.k));
  for (int64_t i = 0; i < numpy.k; ++i) identity[static_cast<size_t>(i * numpy.k + i)] = 3;
  const ConstantPtr moments = make_constant(Tensor::of({numpy.k, numpy.k}, std::span<const float>(identity)));
  const NamedWeightFormat& named = weight_format("int4");
  const QuantizedConstant nearest = named.quantize(numpy.weight_constant());
  const QuantizedConstant planes =
      quantize_compensated(named.format, numpy.weight_constant(), moments, std::make_shared<CompensatedRounding>());
  EXPECT_EQ(all_floats(*planes.codes), all_floats(*nearest.codes));
  EXPECT_EQ(all_floats(*planes.scales), all_floats(*nearest.scales));
}

TEST(CompensatedRounding, OfInputsThatAreNoNumbersIsRefused) {
  std::vector<float> sums{1, 0, 0, std::numeric_limits<float>::quiet_NaN()};
  const ConstantPtr moments = make_constant(Tensor::of({2, 2}, std::span<const float>(sums)));
  EXPECT_THROW(compensation(*moments), Error);
}

}  // namespace
}  // namespace incipit
