#include "graph/ops/coded_weight.h"

#include <algorithm>

#include "base/coded_rows.h"

namespace incipit::ops {

WeightFormat coded_format(const Rule& rule, const std::string& format, const CodedInputs& inputs) {
  const auto known = weight_format_from_text(format);
  rule.require(known && known->scales, "has no weight format '" + format + "'");
  const size_t rank = rule.type(inputs.codes).shape.size();
  rule.tensor(inputs.codes, rank, {known->codes});
  const size_t n_axis = rank - 2;
  std::vector<int64_t> blocks;
  for (size_t axis = 0; axis < n_axis; ++axis) blocks.push_back(rule.constant_extent(inputs.codes, axis));
  blocks.push_back(known->blocks_of_n(rule.constant_extent(inputs.codes, n_axis)));
  if (known->block_k > 0) blocks.push_back(known->blocks_of_k(rule.constant_extent(inputs.codes, n_axis + 1)));
  rule.require(known->zero_points.has_value() == rule.has(inputs.zero_points),
               "takes zero points with a format of theirs, and with no other");
  for (const size_t plane : {inputs.scales, inputs.zero_points}) {
    if (!rule.has(plane)) continue;
    rule.tensor(plane, blocks.size(), {plane == inputs.scales ? *known->scales : *known->zero_points});
    for (size_t axis = 0; axis < blocks.size(); ++axis) rule.extent_is(plane, axis, blocks[axis]);
  }
  return *known;
}

CodedRows::CodedRows(const WeightFormat& format, const Tensor& x, const Tensor* scales_of_codes)
    : values(floats(x)), scales(count_of(x), 1.0F) {
  if (scales_of_codes != nullptr) scales = floats(*scales_of_codes);
  if (scales_of_codes != nullptr || !format.multiplies_codes()) return;
  std::vector<int8_t> codes(width_of(x));
  for (size_t r = 0; r < scales.size(); ++r) {
    const std::span row = std::span(values).subspan(r * codes.size(), codes.size());
    scales[r] = quantize_row(row, codes.data());
    std::copy(codes.begin(), codes.end(), row.begin());
  }
}

CodedWeight::CodedWeight(const WeightFormat& format, std::span<const Tensor* const> inputs, const CodedInputs& at)
    : format_(format),
      products_(static_cast<size_t>(inputs[at.codes]->shape().end()[-2])),
      depth_(width_of(*inputs[at.codes])),
      codes_(floats(*inputs[at.codes])),
      scales_(floats(*inputs[at.scales])) {
  const Tensor* zero_points = optional(inputs, at.zero_points);
  if (zero_points != nullptr) zero_points_ = floats(*zero_points);
}

double CodedWeight::product(const float* x, size_t row) const {
  const auto n = static_cast<int64_t>(products_), k = static_cast<int64_t>(depth_), r = static_cast<int64_t>(row);
  const int64_t columns = format_.blocks_of_k(k), inputs_a_block = format_.inputs_a_block(k);
  const int64_t block_row = format_.block_n == 0 ? 0 : r % n / format_.block_n;
  const auto first = static_cast<size_t>((r / n * format_.blocks_of_n(n) + block_row) * columns);
  return sum_of_blocks(
      format_, k, [&](int64_t i) { return x[i]; },
      [&](int64_t i) {
        const double code = codes_[row * depth_ + static_cast<size_t>(i)];
        return zero_points_.empty() ? code : code - zero_points_[first + static_cast<size_t>(i / inputs_a_block)];
      },
      [&](int64_t block) { return scales_[first + static_cast<size_t>(block)]; });
}

}  // namespace incipit::ops
