// Random data of a problem's real shape, in a device's memory, to measure kernels on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "kernels/families.h"
#include "kernels/weight_layout.h"
#include "workload/device_operands.h"

namespace incipit {

/// Packed weights, one after the other in every plane.
class WeightWorkload {
 public:
  WeightWorkload(Device& device, const WeightLayout& layout, const WeightShape& weight, int64_t count);
  /// Bytes of the codes of one.
  int64_t bytes() const { return bytes_; }
  /// From the codes of weight `first` on, with the other planes of the first.
  PackedWeight packed(int64_t first) const;

 private:
  int64_t bytes_;
  DeviceOperands operands_;
  Tensor codes_, scales_, zero_points_, code_sums_;
  PackedWeight packed_;
};

/// The weights of the last workload, for the next one of the same: making them takes longer than measuring.
struct KeptWeights {
  std::string of;  // what they are
  std::shared_ptr<const WeightWorkload> weights;
};

/// A sequence that begins with a step, and its pages, of a pool of their own.
class PagedSequence {
 public:
  PagedSequence(DeviceOperands& operands, const KvGeometry& geometry, int32_t positions);
  const PagedCache& cache() const { return cache_; }
  const SequenceSpan* span() const { return span_place_; }
  /// Its first `rows` positions are the step's.
  void set_rows(DeviceOperands& operands, int32_t rows);

 private:
  SequenceSpan span_;
  SequenceSpan* span_place_ = nullptr;
  PagedCache cache_;
};

/// A product's operands. Weights are cold in every run, as they are in a model that is larger than the caches: they are
/// evicted before it; where a processor cannot, few rows use copies in turn, and on other devices all do.
class LinearWorkload {
 public:
  using Family = Linear;
  LinearWorkload(Device& device, const Linear::Problem& problem, const WeightLayout* layout, int32_t rows,
                 KeptWeights* kept = nullptr);
  /// Arguments for the next run, on at most `rows` rows.
  Linear::Args next(int32_t rows);

 private:
  Linear::Problem problem_;
  bool evicts_;
  int64_t copies_ = 1;
  DeviceOperands operands_;
  std::shared_ptr<const WeightWorkload> weight_;
  Tensor input_, input_scales_, bias_, residual_, table_, unnormed_;
  std::optional<PagedSequence> pages_;
  Linear::Args args_{};
  int64_t turn_ = 0;
};

/// Experts' products of tokens that choose evenly. Weights are there for as many experts as fit a bounded memory, and
/// no row chooses others.
class ExpertLinearWorkload {
 public:
  using Family = ExpertLinear;
  ExpertLinearWorkload(Device& device, const ExpertLinear::Problem& problem, const WeightLayout* layout, int32_t rows,
                       KeptWeights* kept = nullptr);
  ExpertLinear::Args next(int32_t rows);

 private:
  ExpertLinear::Problem problem_;
  int32_t present_;  // experts with weights
  DeviceOperands operands_;
  std::shared_ptr<const WeightWorkload> weight_;
  Tensor input_, input_scales_, bias_;
  std::vector<int32_t> expert_;
  int32_t* expert_place_ = nullptr;
  ExpertLinear::Args args_{};
  int32_t turn_ = 0;
};

/// A sequence whose last `rows` tokens attend over a context of max(rows, 512) positions. On an accelerator a step of
/// few rows is a chunk and as many single tokens of other sequences, as a kernel may be good at the one and poor at the
/// other.
class AttentionWorkload {
 public:
  using Family = Attention;
  AttentionWorkload(Device& device, const Attention::Problem& problem, const WeightLayout* layout, int32_t rows,
                    KeptWeights* kept = nullptr);
  Attention::Args next(int32_t rows);
  int32_t context() const { return context_; }

 private:
  void set_rows(int32_t rows);

  Attention::Problem problem_;
  int32_t context_;       // positions of each
  int32_t contexts_ = 1;  // that there are pages for
  DeviceOperands operands_;
  Tensor pool_, query_, table_, slopes_, sinks_;
  std::vector<int32_t> positions_;
  std::vector<SequenceSpan> spans_;
  int32_t* positions_place_ = nullptr;
  SequenceSpan* spans_place_ = nullptr;
  int32_t* page_tables_ = nullptr;
  Attention::Args args_{};
  int32_t turn_ = 0;
};

}  // namespace incipit
