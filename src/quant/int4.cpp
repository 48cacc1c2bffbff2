#include <algorithm>
#include <memory>

#include "quant/blocked_rows.h"
#include "quant/formats.h"
#include "quant/four_bit_rule.h"

namespace incipit {
namespace {

class FourBitCodes : public BlockedPlane {
 public:
  FourBitCodes(const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(format.codes, weight->shape(), format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t, size_t column, std::span<const float> values) {
      const FourBitRule rule = four_bit_rule(rows_.format(), values);
      std::byte* const to = out + row * rows_.width() + static_cast<int64_t>(column);
      std::ranges::transform(values, to,
                             [&](float x) { return static_cast<std::byte>(static_cast<int>(rule.code(x))); });
      tell_of_lost(first + row, values, rule.scale);
      return rule.scale;
    });
  }
};

/// Scales, or zero points.
class FourBitBlocks : public BlockedPlane {
 public:
  FourBitBlocks(DType dtype, const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(dtype, block_shape(format, *weight), format, weight), are_scales_(dtype == *format.scales) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t block, size_t, std::span<const float> values) {
      const FourBitRule rule = four_bit_rule(rows_.format(), values);
      if (are_scales_) {
        store_scale(row, block, rule.scale, out);
      } else {
        out[row * rows_.blocks() + block] = static_cast<std::byte>(rule.zero_point);
      }
      return rule.scale;
    });
  }

 private:
  bool are_scales_;
};

QuantizedConstant quantize_four_bits(const WeightFormat& format, const ConstantPtr& weight) {
  QuantizedConstant planes{std::make_shared<FourBitCodes>(format, weight),
                           std::make_shared<FourBitBlocks>(*format.scales, format, weight), nullptr};
  if (format.zero_points) {
    planes.zero_points = std::make_shared<FourBitBlocks>(*format.zero_points, format, weight);
  }
  return planes;
}

template <int32_t inputs>
QuantizedConstant quantize_i4(ConstantPtr weight) {
  return quantize_four_bits(WeightFormat::i4(inputs), weight);
}

template <int32_t inputs>
QuantizedConstant quantize_u4(ConstantPtr weight) {
  return quantize_four_bits(WeightFormat::u4(inputs), weight);
}

// Every element is rounded to 1/14 of its group's largest, which in trained models is two to three times the typical
// one: 3/14/√3, about an eighth of a product, and as much again behind a dozen layers.
constexpr double tolerance = 0.5;

// What the head chooses among is decided by small differences, errors of queries and keys grow in the softmax, and both
// are few of a model's weights.
constexpr std::string_view sensitive = "int8";

template <int32_t inputs>
constexpr NamedWeightFormat symmetric(std::string_view name) {
  return {name, WeightFormat::i4(inputs), quantize_i4<inputs>, tolerance, sensitive, true};
}

template <int32_t inputs>
constexpr NamedWeightFormat with_zero_points(std::string_view name) {
  return {name, WeightFormat::u4(inputs), quantize_u4<inputs>, tolerance, sensitive, true};
}

}  // namespace

const NamedWeightFormat int4_format = symmetric<64>("int4");
const NamedWeightFormat int4_g32_format = symmetric<32>("int4-g32");
const NamedWeightFormat int4_g128_format = symmetric<128>("int4-g128");
const NamedWeightFormat int4_zero_format = with_zero_points<64>("int4-zero");
const NamedWeightFormat int4_zero_g32_format = with_zero_points<32>("int4-zero-g32");
const NamedWeightFormat int4_zero_g128_format = with_zero_points<128>("int4-zero-g128");

}  // namespace incipit
