// The device state of all slots, and the launches that change it between steps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/device.h"
#include "kernels/sampling.h"

namespace incipit {

class Slots {
 public:
  Slots(Device& device, int32_t slots, int32_t max_context, int32_t vocabulary);
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  /// As kernels see them.
  const SlotArrays& arrays() const { return arrays_; }
  /// Both are ordered with everything else in the device's queue. `known` are the tokens that the history begins with.
  void configure(int32_t slot, const SamplingParameters& parameters, int32_t generated_from,
                 std::span<const int32_t> known);
  void truncate(int32_t slot, int32_t length);

 private:
  /// What one slot may be asked, on the host until it is copied.
  struct Staged {
    SlotRequest request;
    Event copied;
    std::unique_ptr<PreparedLaunch> reset, truncate;
  };

  DeviceAddress request_of(int32_t slot) const;

  Device& device_;
  DeviceAddress memory_;
  DeviceAddress requests_;  // [slots]
  DeviceAddress history_;   // [slots][max_context]
  SlotArrays arrays_;
  std::vector<Staged> staged_;
  std::vector<int32_t> staged_history_;  // [slots][max_context]
};

}  // namespace incipit
