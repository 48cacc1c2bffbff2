// A batch on its way to the device: what changes from step to step, each array at a fixed place of one block, so that
// launches can be prepared before there is a batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/device.h"
#include "runtime/executor.h"
#include "runtime/step_view.h"

namespace incipit {

/// Byte offsets within a block that holds any batch within the limits. The counts come first.
struct StepLayout {
  struct Table {
    int64_t offset = 0;
    int32_t stride = 0;  // pages of a sequence
  };

  explicit StepLayout(const ExecutorLimits& limits);

  int64_t spans, source, positions, row_tokens, row_positions, row_sequence, row_masked, masks;
  std::vector<Table> tables;  // a cache group
  int64_t bytes = 0;
};

class StepBlock {
 public:
  /// `limits` outlives this. The block's memory is the device's to read until the step has run.
  StepBlock(const ExecutorLimits& limits, Device& device);

  /// Writes a batch's arrays. Breaking a rule of BatchEntry asserts.
  void fill(const Batch& batch, uint64_t step);
  /// Copies what fill() wrote to the block's place in device memory.
  /// `ahead`: beside what is in the queue (Device::copy_ahead).
  void send(Device& device, DeviceAddress block, bool ahead) const;
  /// Points a view at the block's arrays where kernels see them. `groups` has one entry a cache group.
  void bind(const std::byte* block, StepView& view, GroupView* groups) const;

  int64_t bytes() const { return layout_.bytes; }
  const StepCounts& counts() const { return *at<StepCounts>(0); }

 private:
  void count(const Batch& batch);
  void write_entry(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence);
  void write_pages(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence);
  size_t mask_words() const { return static_cast<size_t>((limits_.vocabulary + 31) / 32); }
  template <typename T>
  T* at(int64_t offset) const {
    return reinterpret_cast<T*>(block_.host + offset);
  }

  const ExecutorLimits& limits_;
  StepLayout layout_;
  HostBlock block_;
};

}  // namespace incipit
