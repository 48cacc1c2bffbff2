// A device: memory, an ordered queue of copies and kernel launches, events. Whatever computes goes through it: the
// executor, the tuner, plain graphs, tests and benchmarks.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "kernels/batch.h"
#include "kernels/cuda/cuda_entry.h"
#include "kernels/device_function.h"
#include "kernels/tensor_map.h"

namespace incipit {

/// An address in device memory. Only arithmetic is allowed on the host: it may not be dereferenced there.
struct DeviceAddress {
  uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
  DeviceAddress operator+(uint64_t bytes) const { return {value + bytes}; }
  /// As kernels take it; to be put into their arguments.
  std::byte* kernel_pointer() const { return reinterpret_cast<std::byte*>(value); }
};

/// A kernel with its problem and setting, as devices run it; made by launch.h. Arguments are its own kind of plain
/// struct.
class LaunchCode {
 public:
  virtual ~LaunchCode() = default;
  /// What a device that loads code knows it by.
  virtual DeviceFunction function() const { return {}; }
  /// Takes the step's counts into the arguments; false when that leaves nothing to do.
  virtual bool take_counts(void* arguments, const StepCounts& counts) const = 0;
  // How a processor runs it, or emulates it (ProcessorEntry).
  virtual size_t scratch_bytes(int32_t rows) const = 0;
  virtual int64_t tiles(const void* arguments) const = 0;
  virtual void run(const void* arguments, int64_t tile, std::byte* scratch) const = 0;
  /// What of the arguments' operands is loaded in boxes, in launches of up to `rows` rows.
  virtual std::vector<TensorMap> tensor_maps(const void*, int32_t) const { return {}; }
  /// How a GPU runs it (CudaEntry), in launches of up to `rows` rows.
  virtual CudaLaunch cuda(const void*, const StepCounts*, int32_t, const CudaLimits&) const { return {}; }
};

/// What a launch is prepared from.
struct LaunchRequest {
  static constexpr size_t max_argument_bytes = 256;
  std::shared_ptr<const LaunchCode> code;
  std::span<const std::byte> arguments;  // copied
  /// Where the counts of the step lie when the launch runs, as kernels see it; null: the arguments say all.
  const StepCounts* counts = nullptr;
  int32_t rows = 0;  // at most
};

/// A launch that can be put into the queue again and again. What it holds is its device's own affair.
class PreparedLaunch {
 public:
  virtual ~PreparedLaunch() = default;
};

/// Launches that were recorded to be run in one go. They outlive it.
class Program {
 public:
  virtual ~Program() = default;
};

/// Memory of the host's that kernels may read and write too, while the host leaves it alone.
struct HostBlock {
  std::byte* host = nullptr;
  std::byte* kernel_pointer = nullptr;
};

/// A point in the queue.
struct Event {
  uint64_t sequence = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  /// What engines it runs.
  virtual Target target() const = 0;

  // ---- memory (not within a step)
  /// 64-byte aligned, zeroed. Throws Error naming the device and the bytes when there is not enough.
  virtual DeviceAddress allocate(size_t bytes, std::string_view what) = 0;
  /// It will be written before long, its first bytes first: a device that gets memory at the first touch gets it while
  /// it has no work. Takes what allocate() returned, and its bytes.
  virtual void expect_use(DeviceAddress, size_t) {}
  /// Waits until that memory is there, for who measures what comes then; false when it takes longer.
  virtual bool wait_for_memory(std::chrono::nanoseconds) { return true; }
  /// Takes what allocate() or adopt() returned.
  virtual void release(DeviceAddress address) = 0;
  /// Makes read-only host bytes available: in place where the device can read them, as a copy otherwise.
  virtual DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view what) = 0;
  /// What it holds is of no more use. A device may leave it as it is; the shadow fills it with NaNs, in the queue's
  /// order, so that a launch that reads what none has written is found. Takes what allocate() returned.
  virtual void discard(DeviceAddress address) = 0;
  /// The same, and its memory may go to others until somebody writes there again.
  virtual void give_memory_back(DeviceAddress address) { discard(address); }
  /// 64-byte aligned, zeroed; lives as long as the device. Throws Error as allocate().
  virtual HostBlock allocate_host(size_t bytes, std::string_view what) = 0;

  // ---- launches (not within a step)
  /// Loads what prepare() will find functions in: an engine's section `device_code`, beside what was loaded before.
  /// Processors have theirs in the program. Throws Error when the code is not for this device.
  virtual void load_code(std::span<const std::byte> code) = 0;
  /// Takes what the launch needs from now on: arguments, scratch, maps of tensors. All addresses in the arguments stay
  /// as they are. Throws Error naming the operand when the device cannot load it as the kernel asks.
  virtual std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request) = 0;
  /// Makes one program of launches of this device; replaying it is launching each in turn.
  virtual std::unique_ptr<Program> record(std::span<const PreparedLaunch* const> launches) = 0;

  // ---- the queue: each returns at once or when done, as the device likes; work runs in the order given. No
  // allocation.
  /// `source` must stay unchanged until an event recorded afterwards has passed.
  virtual void copy_to_device(DeviceAddress target, const void* source, size_t bytes) = 0;
  /// The same into memory that nothing in the queue uses: it may run beside, and what is put behind it waits for it.
  virtual void copy_ahead(DeviceAddress target, const void* source, size_t bytes) {
    copy_to_device(target, source, bytes);
  }
  virtual void copy_to_host(void* target, DeviceAddress source, size_t bytes) = 0;
  virtual void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) = 0;
  virtual void launch(const PreparedLaunch& launch) = 0;
  virtual void replay(const Program& program) = 0;
  virtual Event record_event() = 0;
  virtual void wait(Event event) = 0;
  /// Polls until a launch has published `step` or a later one (Publish) to `done`, in a host block.
  virtual void wait_for(uint64_t& done, uint64_t step) = 0;
  /// Waits for all work before it, runs launches one after the other, and tells the seconds that they took.
  virtual double time(std::span<const PreparedLaunch* const> launches);
  double time(const PreparedLaunch& launch) {
    const PreparedLaunch* const one = &launch;
    return time({&one, 1});
  }

  virtual int workers() const = 0;
};

/// The device that runs engines of a target; `threads` as make_cpu_device. Throws Error where this machine has none.
std::unique_ptr<Device> make_device(const Target& target, int threads);

/// The processor: kernels run at once on a pool of `threads` (0: all available cores), the caller being worker 0.
std::unique_ptr<Device> make_cpu_device(int threads);

/// An emulated accelerator: an asynchronous queue, memory that the host cannot touch (an address is in a reserved,
/// inaccessible range; what it stands for lies elsewhere, and only the queue's thread knows where), kernels that are
/// their families' references, and the refusals of a real one.
std::unique_ptr<Device> make_shadow_device();

/// This machine's GPU. Throws Error where there is none.
std::unique_ptr<Device> make_cuda_device();

}  // namespace incipit
