#include "primitives/quantize_linear.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// Which element of scale and zero point belongs to which of x.
struct Scales {
  size_t outer = 1, extent = 1, inner = 1;  // x as [outer, extent, inner] around the axis
  size_t block = 1;                         // slices of the axis that share a row of scales
  size_t rows = 1;                          // along the axis, of each of `outer` where is_blocked
  bool is_blocked = false;                  // else a scale is the same for all of a slice

  Scales(std::string_view op, const Tensor& x, const Tensor& scale, int64_t axis, int64_t block_size) {
    const Shape& shape = x.shape();
    if (block_size < 0) throw Error(op, "has a negative block size");
    if (block_size == 0 && scale.elements() == 1) {
      inner = static_cast<size_t>(x.elements());
      return;
    }
    const size_t along = normal_axis(op, axis, shape.size());
    for (size_t i = 0; i < shape.size(); ++i) {
      (i < along ? outer : i == along ? extent : inner) *= static_cast<size_t>(shape[i]);
    }
    Shape expected{shape[along]};
    rows = extent;
    if (block_size > 0) {
      is_blocked = true;
      block = static_cast<size_t>(block_size);
      rows = extent / block + (extent % block == 0 ? 0 : 1);
      expected = shape;
      expected[along] = static_cast<int64_t>(rows);
    }
    if (scale.shape() != expected) throw Error(op, "has scales of a shape that does not fit x");
  }

  /// `call(first element, scale's first element, scale's step, count)` for each slice of x.
  template <typename F>
  void for_each(F&& call) const {
    for (size_t o = 0; o < outer; ++o) {
      for (size_t i = 0; i < extent; ++i) {
        const size_t from = (o * extent + i) * inner;
        if (is_blocked) {
          call(from, (o * rows + i / block) * inner, size_t{1}, inner);
        } else {
          call(from, i, size_t{0}, inner);
        }
      }
    }
  }
};

/// All elements as float, but integers exactly as int32_t where `T` is that.
template <typename T>
std::vector<T> elements_of(std::string_view op, const Tensor& tensor) {
  std::vector<T> values(static_cast<size_t>(tensor.elements()));
  with_carrier(tensor.dtype(), [&]<typename From>(ElementTag<From>) {
    if constexpr (std::is_integral_v<T> && !std::is_integral_v<From>) {
      refuse_dtype(op, tensor.dtype());
    } else {
      std::vector<From> loaded(values.size());
      load_elements(tensor.dtype(), tensor.data(), loaded.data(), loaded.size());
      std::transform(loaded.begin(), loaded.end(), values.begin(), [](From value) { return static_cast<T>(value); });
    }
  });
  return values;
}

std::vector<int64_t> zero_points(std::string_view op, const Tensor* zero, const Tensor& scale, DType codes) {
  if (zero == nullptr) return std::vector<int64_t>(static_cast<size_t>(scale.elements()), 0);
  if (zero->dtype() != codes) throw Error(op, "has zero points of another type than its codes");
  if (zero->elements() != scale.elements()) throw Error(op, "has zero points of another shape than its scales");
  return elements_of<int64_t>(op, *zero);
}

bool is_code(DType dtype) {
  return dtype == DType::i8 || dtype == DType::u8 || dtype == DType::i16 || dtype == DType::u16;
}

template <typename T>
T quantized(float value, float scale, int64_t zero) {
  const float code = std::nearbyint(value / scale);
  if (std::isnan(code)) return static_cast<T>(zero);
  // Far outside of every type the sum need not be exact.
  const float limited = std::clamp(code, -1e6F, 1e6F);
  return static_cast<T>(std::clamp<int64_t>(static_cast<int64_t>(limited) + zero, std::numeric_limits<T>::min(),
                                            std::numeric_limits<T>::max()));
}

}  // namespace

Outputs QuantizeLinear::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& scale = required_input(op_name, inputs, 1);
  if (!is_floating(x.dtype()) && x.dtype() != DType::i32) refuse_dtype(op_name, x.dtype());
  if (!is_floating(scale.dtype())) refuse_dtype(op_name, scale.dtype());
  const Scales layout(op_name, x, scale, axis, block);
  const std::vector<int64_t> zeros = zero_points(op_name, optional_input(inputs, 2), scale, to);
  const auto values = elements_of<float>(op_name, x), scales = elements_of<float>(op_name, scale);
  Outputs outputs;
  Tensor& y = outputs.emplace_back(to, x.shape());
  const auto quantize = [&]<typename T>(T) {
    const auto codes = y.as<T>();
    layout.for_each([&](size_t from, size_t row, size_t step, size_t count) {
      for (size_t i = 0; i < count; ++i) {
        const size_t at = row + i * step;
        codes[from + i] = quantized<T>(values[from + i], scales[at], zeros[at]);
      }
    });
  };
  switch (to) {
    case DType::i8: quantize(int8_t{}); break;
    case DType::u8: quantize(uint8_t{}); break;
    case DType::i16: quantize(int16_t{}); break;
    case DType::u16: quantize(uint16_t{}); break;
    default: refuse_dtype(op_name, to);
  }
  return outputs;
}

Outputs DequantizeLinear::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& scale = required_input(op_name, inputs, 1);
  if (!is_floating(to)) refuse_dtype(op_name, to);
  if (!is_floating(scale.dtype())) refuse_dtype(op_name, scale.dtype());
  if (!is_code(x.dtype()) && x.dtype() != DType::i32) refuse_dtype(op_name, x.dtype());
  const Scales layout(op_name, x, scale, axis, block);
  const std::vector<int64_t> zeros = zero_points(op_name, optional_input(inputs, 2), scale, x.dtype());
  const auto codes = elements_of<int64_t>(op_name, x);
  const auto scales = elements_of<float>(op_name, scale);
  Outputs outputs;
  Tensor& y = outputs.emplace_back(to, x.shape());
  std::vector<float> row_values;
  layout.for_each([&](size_t from, size_t row, size_t step, size_t count) {
    row_values.resize(count);
    for (size_t i = 0; i < count; ++i) {
      const size_t at = row + i * step;
      row_values[i] = static_cast<float>(codes[from + i] - zeros[at]) * scales[at];
    }
    store_elements(row_values.data(), to, y.data() + from * size_of(to), count);
  });
  return outputs;
}

Outputs DynamicQuantizeLinear::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  if (x.dtype() != DType::f32) refuse_dtype(op_name, x.dtype());
  const auto values = x.as<float>();
  float low = 0, high = 0;
  for (const float value : values) low = std::min(low, value), high = std::max(high, value);
  const float range = high - low;
  const float scale = range > 0 ? range / 255 : 1.0F;
  const auto zero = quantized<uint8_t>(-low, scale, 0);
  Outputs outputs;
  const auto codes = outputs.emplace_back(DType::u8, x.shape()).as<uint8_t>();
  std::transform(values.begin(), values.end(), codes.begin(),
                 [&](float value) { return quantized<uint8_t>(value, scale, zero); });
  outputs.emplace_back(DType::f32, Shape{}).as<float>()[0] = scale;
  outputs.emplace_back(DType::u8, Shape{}).as<uint8_t>()[0] = zero;
  return outputs;
}

namespace {

/// What scales (input 1) and zero points (input 2) must be, with codes of dtype `codes`.
template <typename P>
void check_scales(const P& op, const Rule& rule, DType codes) {
  const ValueType& scale = rule.type(1);
  rule.require(is_floating(scale.dtype), "takes floating scales");
  rule.require(op.block >= 0, "has a negative block size");
  const std::vector<Dim>& x = rule.type(0).shape;
  if (op.block > 0) {
    rule.axis(op.axis, x.size());
    rule.require(scale.shape.size() == x.size(), "has scales of another rank than x");
  } else {
    rule.require(scale.shape.size() <= 1, "has scales of rank " + std::to_string(scale.shape.size()));
    const bool is_one = scale.shape.empty() || scale.shape[0] == Dim(1);
    if (!is_one && scale.shape[0].is_constant()) same_extent(rule, x[rule.axis(op.axis, x.size())], scale.shape[0]);
  }
  if (rule.has(2)) rule.require(rule.type(2).dtype == codes, "has zero points of another type than its codes");
}

}  // namespace

OutputTypes QuantizeLinear::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(is_floating(x.dtype) || x.dtype == DType::i32, "takes floating x or i32");
  rule.require(is_code(to), "makes no " + std::string(name_of(to)));
  check_scales(*this, rule, to);
  return {{to, x.shape}};
}

OutputTypes DequantizeLinear::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(is_code(x.dtype) || x.dtype == DType::i32, "takes codes of 8 or 16 bits, or i32");
  rule.require(is_floating(to), "makes no " + std::string(name_of(to)));
  check_scales(*this, rule, x.dtype);
  return {{to, x.shape}};
}

OutputTypes DynamicQuantizeLinear::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  rule.require(rule.type(0).dtype == DType::f32, "takes f32");
  return {{DType::u8, rule.type(0).shape}, {DType::f32, {}}, {DType::u8, {}}};
}

}  // namespace incipit::primitives
