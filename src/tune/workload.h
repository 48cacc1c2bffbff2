// Random data of a problem's real shape, to measure kernels on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/tensor.h"
#include "kernels/families.h"
#include "kernels/weight_layout.h"

namespace incipit {

/// Packed weights, one after the other in every plane.
class WeightWorkload {
 public:
  WeightWorkload(const WeightLayout& layout, const WeightShape& weight, int64_t count);
  /// Bytes of the codes of one.
  int64_t bytes() const { return bytes_; }
  /// From the codes of weight `first` on, with the other planes of the first.
  PackedWeight packed(int64_t first) const;

 private:
  int64_t bytes_;
  Tensor codes_, scales_, zero_points_, code_sums_;
};

/// A product's operands. Weights are cold in every run, as they are in a model that is larger than the caches: they are
/// evicted before it or, where a processor cannot, few rows use copies in turn.
class LinearWorkload {
 public:
  using Family = Linear;
  LinearWorkload(const Linear::Problem& problem, const WeightLayout* layout, int32_t rows);
  /// Arguments for the next run, on at most `rows` rows.
  Linear::Args next(int32_t rows);

 private:
  Linear::Problem problem_;
  int64_t copies_ = 1;
  WeightWorkload weight_;
  Tensor input_, input_scales_, bias_, residual_, output_;
  int64_t turn_ = 0;
};

/// Experts' products of tokens that choose evenly. Weights are there for as many experts as fit a bounded memory, and
/// no row chooses others.
class ExpertLinearWorkload {
 public:
  using Family = ExpertLinear;
  ExpertLinearWorkload(const ExpertLinear::Problem& problem, const WeightLayout* layout, int32_t rows);
  ExpertLinear::Args next(int32_t rows);

 private:
  ExpertLinear::Problem problem_;
  int32_t present_;  // experts with weights
  WeightWorkload weight_;
  Tensor input_, input_scales_, expert_, bias_, output_;
  int32_t turn_ = 0;
};

/// One sequence whose last `rows` tokens attend over a context of max(rows, 512) positions.
class AttentionWorkload {
 public:
  using Family = Attention;
  AttentionWorkload(const Attention::Problem& problem, const WeightLayout* layout, int32_t rows);
  Attention::Args next(int32_t rows);

 private:
  Attention::Problem problem_;
  int32_t context_;
  Tensor pool_, query_, table_, slopes_, sinks_, output_;
  std::vector<int32_t> pages_, positions_;
  SequenceSpan span_;
};

}  // namespace incipit
