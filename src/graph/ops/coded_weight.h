// What products of coded weights have in common: the shape of a weight's planes, and what they mean.
#pragma once

#include <vector>

#include "base/weight_format.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

/// Which of an op's inputs a coded weight is.
struct CodedInputs {
  size_t codes, scales, zero_points;
};

/// The format that an attribute names; checks the planes of a weight [M, K], or [E, M, K] of experts: codes, and scales
/// and zero points [M / block] or, in blocks along K too, [M / block, K / block].
WeightFormat coded_format(const Rule& rule, const std::string& format, const CodedInputs& inputs);

/// A product's rows: what it multiplies, as floats, and their scales, made here where the format wants codes and the
/// rows come as numbers. Without codes the scales are ones.
struct CodedRows {
  std::vector<float> values, scales;
  CodedRows(const WeightFormat& format, const Tensor& x, const Tensor* scales_of_codes);
};

/// A weight's planes as floats.
class CodedWeight {
 public:
  CodedWeight(const WeightFormat& format, std::span<const Tensor* const> inputs, const CodedInputs& at);

  size_t depth() const { return depth_; }
  /// Of x with a row, numbered through all experts.
  double product(const float* x, size_t row) const;

 private:
  WeightFormat format_;
  size_t products_, depth_;
  std::vector<float> codes_, scales_, zero_points_;
};

}  // namespace incipit::ops
