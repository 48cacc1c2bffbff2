// Memory of a device's for the operands of a launch that is measured.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "device/device.h"

namespace incipit {

/// Holds it for as long as it lives; pointers are kernels'.
class DeviceOperands {
 public:
  explicit DeviceOperands(Device& device) : device_(&device) {}
  ~DeviceOperands() {
    for (const DeviceAddress address : memory_) device_->release(address);
  }
  DeviceOperands(const DeviceOperands&) = delete;
  DeviceOperands& operator=(const DeviceOperands&) = delete;

  Device& device() const { return *device_; }
  /// What a tensor holds now; where the device reads the host's memory, in its place. The tensor stays.
  const std::byte* input(const Tensor& tensor) {
    return tensor.bytes() == 0 ? nullptr : keep(device_->adopt(tensor.data(), tensor.bytes(), "operands"));
  }
  template <typename T>
  const T* input_as(const Tensor& tensor) {
    return reinterpret_cast<const T*>(input(tensor));
  }
  /// Memory of zeros.
  std::byte* output(size_t bytes) { return bytes == 0 ? nullptr : keep(device_->allocate(bytes, "operands")); }
  template <typename T>
  T* output_of(size_t count) {
    return reinterpret_cast<T*>(output(count * sizeof(T)));
  }
  /// Puts values into what output_of() gave, before the next launch; they stay unchanged until it is done.
  template <typename T>
  void set(T* place, std::span<const T> values) {
    device_->copy_to_device({reinterpret_cast<uint64_t>(place)}, values.data(), values.size_bytes());
  }

 private:
  std::byte* keep(DeviceAddress address) {
    memory_.push_back(address);
    return address.kernel_pointer();
  }
  Device* device_;
  std::vector<DeviceAddress> memory_;
};

}  // namespace incipit
