// A device: memory, an ordered queue of copies and kernel launches, and events. All of the executor goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace incipit {

/// An address in device memory. Only arithmetic is allowed on the host: it may not be dereferenced there.
struct DeviceAddress {
  uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
  DeviceAddress operator+(uint64_t bytes) const { return {value + bytes}; }
};

/// One kernel launch, held by value in the device's queue. `code` outlives the queue.
struct Launch {
  /// Runs tiles of `arguments` on the device; type-erased by runtime/steps.
  struct Code {
    virtual ~Code() = default;
    virtual int64_t tiles(const void* arguments) const = 0;
    virtual void run(const void* arguments, int64_t tile, std::byte* scratch) const = 0;
  };
  static constexpr size_t max_argument_bytes = 256;
  const Code* code = nullptr;
  alignas(64) std::byte arguments[max_argument_bytes];
};

/// A point in the queue.
struct Event {
  uint64_t sequence = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;

  // ---- memory (not within a step)
  /// 64-byte aligned, zeroed. Throws Error naming the device and the bytes when there is not enough.
  virtual DeviceAddress allocate(size_t bytes, std::string_view what) = 0;
  /// Takes what allocate() or adopt() returned.
  virtual void release(DeviceAddress address) = 0;
  /// Makes read-only host bytes available: in place where the device can read them, as a copy otherwise.
  virtual DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view what) = 0;
  /// The pointer that kernels see for an address; to be put into kernel arguments, never followed by the host.
  virtual std::byte* kernel_pointer(DeviceAddress address) const = 0;

  // ---- the queue: each returns at once or when done, as the device likes; work runs in the order given. No
  // allocation.
  /// `source` must stay unchanged until an event recorded afterwards has passed.
  virtual void copy_to_device(DeviceAddress target, const void* source, size_t bytes) = 0;
  virtual void copy_to_host(void* target, DeviceAddress source, size_t bytes) = 0;
  virtual void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) = 0;
  virtual void launch(const Launch& launch) = 0;
  virtual Event record() = 0;
  virtual void wait(Event event) = 0;

  /// Scratch bytes each worker must have for launches to come. Not within a step.
  virtual void reserve_scratch(size_t bytes_per_worker) = 0;
  virtual int workers() const = 0;
};

/// The processor: kernels run at once on a pool of `threads` (0: all available cores), the caller being worker 0.
std::unique_ptr<Device> make_cpu_device(int threads);

/// The processor's kernels behind an asynchronous queue and memory that the host may not touch (an address is in a
/// reserved, inaccessible range; what it stands for lies elsewhere). It keeps the seam honest in tests.
std::unique_ptr<Device> make_shadow_device(int threads);

}  // namespace incipit
