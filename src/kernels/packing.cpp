#include "kernels/packing.h"

#include <cstring>

#include "base/error.h"

namespace incipit {

int64_t PanelOrder::source_row(int64_t packed) const {
  if (!gated) return packed < n ? packed : -1;
  const int64_t panel = packed / panel_width;
  const int64_t row = panel / 2 * panel_width + packed % panel_width;
  if (row >= n / 2) return -1;
  return panel % 2 == 0 ? row : n / 2 + row;
}

int64_t PanelOrder::packed_row(int64_t source) const {
  if (!gated) return source;
  const int64_t up = source >= n / 2 ? 1 : 0;
  const int64_t row = source - up * (n / 2);
  return (2 * (row / panel_width) + up) * panel_width + row % panel_width;
}

namespace {

/// Calls store(element index in the panel, row, input) for every element with an input below k.
template <typename Store>
void for_each_element(int64_t group, int64_t k, Store store) {
  for (int64_t row = 0; row < panel_width; ++row) {
    for (int64_t input = 0; input < k; ++input) {
      store((input / group * panel_width + row) * group + input % group, row, input);
    }
  }
}

}  // namespace

void PanelPacker::pack_panel(const float* rows, std::byte* out) const {
  INCIPIT_ASSERT(format_ != WeightFormat::i8);
  std::memset(out, 0, static_cast<size_t>(shape_.panel_bytes));
  if (format_ == WeightFormat::f32) {
    auto* to = reinterpret_cast<float*>(out);
    for_each_element(1, k_, [&](int64_t at, int64_t row, int64_t input) { to[at] = rows[row * k_ + input]; });
  } else if (format_ == WeightFormat::bf16) {
    auto* to = reinterpret_cast<bf16*>(out);
    for_each_element(2, k_, [&](int64_t at, int64_t row, int64_t input) { to[at] = to_bf16(rows[row * k_ + input]); });
  } else {
    auto* to = reinterpret_cast<f16*>(out);
    for_each_element(1, k_, [&](int64_t at, int64_t row, int64_t input) { to[at] = to_f16(rows[row * k_ + input]); });
  }
}

void PanelPacker::pack_panel_codes(const int8_t* codes, std::byte* out, int32_t* code_sums) const {
  INCIPIT_ASSERT(format_ == WeightFormat::i8);
  std::memset(out, 0, static_cast<size_t>(shape_.panel_bytes));
  std::memset(code_sums, 0, panel_width * sizeof(int32_t));
  auto* to = reinterpret_cast<int8_t*>(out);
  for_each_element(4, k_, [&](int64_t at, int64_t row, int64_t input) {
    to[at] = codes[row * k_ + input];
    code_sums[row] += codes[row * k_ + input];
  });
}

std::vector<float> pack_outputs(const PanelOrder& order, std::span<const float> values) {
  INCIPIT_ASSERT(static_cast<int64_t>(values.size()) == order.n);
  std::vector<float> packed(static_cast<size_t>(order.packed_rows()));
  for (int64_t row = 0; row < order.n; ++row) {
    packed[static_cast<size_t>(order.packed_row(row))] = values[static_cast<size_t>(row)];
  }
  return packed;
}

void unpack_row(WeightFormat format, int64_t k, const PackedWeight& weight, int64_t packed_row, float* out) {
  const int64_t padded_k = round_up(k, 64);
  for (int64_t input = 0; input < k; ++input) {
    const std::byte* at = weight.panels + packed_offset(format, padded_k, packed_row, input);
    switch (format) {
      case WeightFormat::f32: std::memcpy(out + input, at, sizeof(float)); break;
      case WeightFormat::bf16: {
        bf16 value;
        std::memcpy(&value, at, sizeof value);
        out[input] = to_float(value);
        break;
      }
      case WeightFormat::f16: {
        f16 value;
        std::memcpy(&value, at, sizeof value);
        out[input] = to_float(value);
        break;
      }
      case WeightFormat::i8:
        out[input] = static_cast<float>(static_cast<int8_t>(*at)) * weight.scales[packed_row];
        break;
    }
  }
}

}  // namespace incipit
