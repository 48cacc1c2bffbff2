// The beginning of a row's candidates, best first, whose measures reach some sum (sample.cu): the number of candidates
// for top-k, their weights for top-p. Nothing is sorted. Candidates are counted in bins, a bin a step of their weights;
// the bin in which the sum is reached is parted by parts of the key until it holds few, which are compared each with
// each.
#pragma once

#include "kernels/cuda/sample_row.cuh"

namespace incipit {

enum class Measure { one, weight };

/// How a row's candidates are ordered and weighed.
struct Weighing {
  const SampledLogits& row;
  float best;
  bool model;  // the model's own logits, where every token is a candidate; else the adjusted ones

  float logit(int32_t id, float ordered) const {
    return model || !row.is_adjusted() ? ordered : row.adjust(id, ordered);
  }
  uint64_t exponent(float logit) const {
    return weight_exponent(model ? logit - best : below_best(*row.parameters, logit, best));
  }
  bool weighs(uint64_t exponent) const { return model || exponent < weightless_exponent; }
};

constexpr int32_t list_size = 1024;
constexpr int32_t exponent_shift = 27;  // of bins: 32 for a factor of two
constexpr int32_t bin_count = static_cast<int32_t>(weightless_exponent >> exponent_shift) + 1;

/// What a selection has narrowed down to.
struct Narrowed {
  int32_t bin = -1;               // of exponents; all
  uint64_t prefix = 0, mask = 0;  // of keys
  uint64_t before = 0;            // the sum of all that is better
  uint64_t wanted = 0;            // in the whole; no more than there is
  int32_t count = 0;
  bool all = false;  // no selection is needed
};

struct SelectMemory {
  uint32_t counts[bin_count];
  uint32_t low[bin_count], high[bin_count];  // sums of weights in two halves
  uint64_t warp_sums[block_warps];
  Narrowed narrowed;
  uint64_t threshold;
  int32_t listed;
  uint64_t keys[list_size];
  uint64_t measures[list_size];

  void add(int32_t bin, uint64_t weight) {
    atomicAdd(&counts[bin], 1U);
    if (weight == 0) return;
    const auto part = static_cast<uint32_t>(weight);
    const uint32_t old = atomicAdd(&low[bin], part);
    const uint32_t above = static_cast<uint32_t>(weight >> 32) + (old + part < old ? 1U : 0U);
    if (above != 0) atomicAdd(&high[bin], above);
  }
};

/// By turns the parts of a key that bins are made of; ids have 24 bits.
constexpr int32_t key_shifts[] = {56, 48, 40, 32, 16, 8, 0};

class Selection {
 public:
  Selection(SelectMemory& memory, const Weighing& weighing, Measure measure, uint64_t floor)
      : memory_(memory), weighing_(weighing), measure_(measure), floor_(floor) {}

  /// The key of the last candidate of the smallest beginning that reaches `count`, or the share top_p of all weights; 0
  /// where all are needed. Candidates below `floor` do not count. All threads of the cluster call it.
  __noinline__ uint64_t threshold(int32_t count) {
#pragma unroll 1
    for (int32_t level = -1;; ++level) {
      fill_bins(level);
      cluster_sync();
      if (cluster_rank() == 0) narrow(level, count);
      cluster_sync();
      narrowed_ = memory_.narrowed;
      if (narrowed_.all) return 0;
      if (narrowed_.count <= list_size) break;
    }
    visit([&](uint64_t key, uint64_t) {
      const int32_t at = atomicAdd(of_block(&memory_.listed, 0), 1);
      *of_block(&memory_.keys[at], 0) = key;
    });
    cluster_sync();
    if (cluster_rank() == 0) find();
    cluster_sync();
    return memory_.threshold;
  }

 private:
  static constexpr int32_t thread_bins = (bin_count + THREADS - 1) / THREADS;

  static int32_t key_bin(uint64_t key, int32_t level) {
    return 255 - static_cast<int32_t>(key >> key_shifts[level] & 255);
  }

  /// Candidates of what is narrowed down to, as far as they are this warp's.
  template <typename Take>
  void visit(Take take) const {
    weighing_.row.for_each([&](int32_t id, float ordered) {
      const float logit = weighing_.logit(id, ordered);
      if (logit == no_logit) return;
      const uint64_t key = candidate_key(logit, id);
      if (key < floor_ || ((key ^ narrowed_.prefix) & narrowed_.mask) != 0) return;
      const uint64_t exponent = weighing_.exponent(logit);
      if (!weighing_.weighs(exponent)) return;
      if (narrowed_.bin >= 0 && static_cast<int32_t>(exponent >> exponent_shift) != narrowed_.bin) return;
      take(key, exponent);
    });
  }

  void fill_bins(int32_t level) {
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < bin_count; i += THREADS) {
      memory_.counts[i] = memory_.low[i] = memory_.high[i] = 0;
    }
    __syncthreads();
    visit([&](uint64_t key, uint64_t exponent) {
      const int32_t bin = level < 0 ? static_cast<int32_t>(exponent >> exponent_shift) : key_bin(key, level);
      memory_.add(bin, measure_ == Measure::one ? 0 : weight_of_exponent(exponent));
    });
  }

  /// Of all blocks.
  int32_t bin_entries(int32_t bin) const {
    uint32_t count = 0;
#pragma unroll 4
    for (int32_t rank = 0; bin < bin_count && rank < CLUSTER; ++rank) count += of_block(&memory_, rank)->counts[bin];
    return static_cast<int32_t>(count);
  }
  uint64_t bin_sum(int32_t bin) const {
    if (measure_ == Measure::one) return static_cast<uint64_t>(bin_entries(bin));
    uint64_t sum = 0;
#pragma unroll 4
    for (int32_t rank = 0; bin < bin_count && rank < CLUSTER; ++rank) {
      const SelectMemory& there = *of_block(&memory_, rank);
      sum += (uint64_t{there.high[bin]} << 32) + there.low[bin];
    }
    return sum;
  }

  /// The first block finds the bin in which the sum is reached, and tells the others.
  void narrow(int32_t level, int32_t count) {
    const auto thread = static_cast<int32_t>(threadIdx.x);
    uint64_t own = 0;
#pragma unroll 1
    for (int32_t i = 0; i < thread_bins; ++i) own += bin_sum(thread * thread_bins + i);
    const uint64_t running = warp_running_sum(own);
    if (thread % warp_size == warp_size - 1) memory_.warp_sums[thread / warp_size] = running;
    __syncthreads();
    uint64_t before = running - own, total = 0;
#pragma unroll 4
    for (int32_t warp = 0; warp < block_warps; ++warp) {
      if (warp < thread / warp_size) before += memory_.warp_sums[warp];
      total += memory_.warp_sums[warp];
    }
    Narrowed next = narrowed_;
    if (level < 0) {
      next.wanted =
          measure_ == Measure::one ? static_cast<uint64_t>(count) : top_p_weight(*weighing_.row.parameters, total);
    }
    before += next.before;
    if (level < 0 && next.wanted >= total) {
      next.all = true;
      if (thread == 0) tell(next);
      return;
    }
    if (next.wanted <= before || next.wanted > before + own) return;
    int32_t bin = thread * thread_bins;
#pragma unroll 1
    for (uint64_t sum = bin_sum(bin); before + sum < next.wanted; sum = bin_sum(++bin)) before += sum;
    next.before = before;
    next.count = bin_entries(bin);
    if (level < 0) {
      next.bin = bin;
    } else {
      next.prefix |= static_cast<uint64_t>(255 - bin) << key_shifts[level];
      next.mask |= uint64_t{255} << key_shifts[level];
    }
    tell(next);
  }

  void tell(const Narrowed& next) {
    memory_.listed = 0;
#pragma unroll 1
    for (int32_t rank = 0; rank < CLUSTER; ++rank) of_block(&memory_, rank)->narrowed = next;
  }

  /// The first block finds the listed candidate at which the sum is reached.
  void find() {
    const int32_t count = memory_.listed;
#pragma unroll 1
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < count; i += THREADS) {
      const float logit = key_logit(memory_.keys[i]);
      memory_.measures[i] = measure_ == Measure::one ? 1 : weight_of_exponent(weighing_.exponent(logit));
    }
    __syncthreads();
#pragma unroll 1
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < count; i += THREADS) {
      const uint64_t key = memory_.keys[i];
      uint64_t before = narrowed_.before;
      for (int32_t j = 0; j < count; ++j) before += memory_.keys[j] > key ? memory_.measures[j] : 0;
      if (before < narrowed_.wanted && narrowed_.wanted <= before + memory_.measures[i]) {
        for (int32_t rank = 0; rank < CLUSTER; ++rank) *of_block(&memory_.threshold, rank) = key;
      }
    }
  }

  SelectMemory& memory_;
  const Weighing& weighing_;
  Measure measure_;
  uint64_t floor_;
  Narrowed narrowed_;
};

}  // namespace incipit
