// A device that behaves as one across a bus would: an address of its memory cannot be followed by the host, and its
// queue runs behind the host's back.
#include <atomic>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "base/error.h"
#include "device/device.h"
#include "device/host_memory.h"
#include "device/kernel_runner.h"

namespace incipit {
namespace {

struct Command {
  enum class Kind : uint8_t { copy, launch, replay, stop };
  Kind kind = Kind::copy;
  void* target = nullptr;
  const void* source = nullptr;
  size_t bytes = 0;
  const ProcessorLaunch* launch = nullptr;
  const ProcessorProgram* program = nullptr;
};

/// A ring between the host's thread and the device's. The host learns that commands are done only where it waits: a
/// host that looks at memory too early is then a data race that the thread sanitizer sees.
class CommandQueue {
 public:
  CommandQueue() : ring_(capacity) {}

  /// Host. The place of the next command; waits while the ring is full.
  Command& begin_push() {
    const uint64_t number = submitted_.load(std::memory_order_relaxed);
    if (number >= capacity) wait(number - capacity + 1);
    return ring_[number % capacity];
  }
  void end_push() {
    submitted_.fetch_add(1, std::memory_order_release);
    submitted_.notify_one();
  }
  uint64_t submitted() const { return submitted_.load(std::memory_order_relaxed); }
  /// Host. Until `number` commands are done.
  void wait(uint64_t number) {
    while (known_done_ < number) {
      known_done_ = done_.load(std::memory_order_acquire);
      if (known_done_ < number) done_.wait(known_done_, std::memory_order_acquire);
    }
  }

  /// Device. Waits for the next command.
  const Command& front() {
    const uint64_t number = done_.load(std::memory_order_relaxed);
    uint64_t submitted = submitted_.load(std::memory_order_acquire);
    while (submitted <= number) {
      submitted_.wait(submitted, std::memory_order_acquire);
      submitted = submitted_.load(std::memory_order_acquire);
    }
    return ring_[number % capacity];
  }
  void pop() {
    done_.fetch_add(1, std::memory_order_release);
    done_.notify_one();
  }

 private:
  static constexpr uint64_t capacity = 2048;
  std::vector<Command> ring_;
  alignas(64) std::atomic<uint64_t> submitted_{0};
  alignas(64) std::atomic<uint64_t> done_{0};
  alignas(64) uint64_t known_done_ = 0;  // the host's
};

class ShadowDevice final : public Device {
 public:
  explicit ShadowDevice(int threads) : runner_(threads), thread_([this] { work(); }) {}
  ~ShadowDevice() override {
    push([](Command& command) { command.kind = Command::Kind::stop; });
    thread_.join();
  }

  std::string_view name() const override { return "shadow"; }

  DeviceAddress allocate(size_t bytes, std::string_view what) override {
    Allocation allocation{HostMemory(bytes, what), HostMemory::inaccessible(bytes)};
    const DeviceAddress address{reinterpret_cast<uint64_t>(allocation.addresses.data())};
    allocations_.emplace(address.value, std::move(allocation));
    return address;
  }
  void release(DeviceAddress address) override {
    wait(record_event());
    allocations_.erase(address.value);
  }
  HostBlock allocate_host(size_t bytes, std::string_view what) override {
    std::byte* const data = host_blocks_.emplace_back(bytes, what).data();
    return {data, data};
  }
  DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view what) override {
    const DeviceAddress address = allocate(bytes, what);
    std::memcpy(kernel_pointer(address), data, bytes);
    return address;
  }
  std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request) override {
    wait(record_event());
    return runner_.prepare(request);
  }
  std::unique_ptr<Program> record(std::span<const PreparedLaunch* const> launches) override {
    return std::make_unique<ProcessorProgram>(launches);
  }
  std::byte* kernel_pointer(DeviceAddress address) const override {
    auto found = allocations_.upper_bound(address.value);
    INCIPIT_ASSERT(found != allocations_.begin());
    --found;
    const uint64_t offset = address.value - found->first;
    INCIPIT_ASSERT(offset <= found->second.memory.size());
    return found->second.memory.data() + offset;
  }

  void copy_to_device(DeviceAddress target, const void* source, size_t bytes) override {
    copy(kernel_pointer(target), source, bytes);
  }
  void copy_to_host(void* target, DeviceAddress source, size_t bytes) override {
    copy(target, kernel_pointer(source), bytes);
  }
  void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) override {
    copy(kernel_pointer(target), kernel_pointer(source), bytes);
  }
  void launch(const PreparedLaunch& launch) override {
    push([&](Command& command) {
      command.kind = Command::Kind::launch;
      command.launch = static_cast<const ProcessorLaunch*>(&launch);
    });
  }
  void replay(const Program& program) override {
    push([&](Command& command) {
      command.kind = Command::Kind::replay;
      command.program = static_cast<const ProcessorProgram*>(&program);
    });
  }
  Event record_event() override { return {queue_.submitted()}; }
  void wait(Event event) override { queue_.wait(event.sequence); }
  void wait_for(uint64_t& done, uint64_t step) override {
    const std::atomic_ref<uint64_t> published(done);
    for (uint64_t seen = published.load(std::memory_order_acquire); seen < step;) {
      published.wait(seen, std::memory_order_acquire);
      seen = published.load(std::memory_order_acquire);
    }
  }

  int workers() const override { return runner_.workers(); }

 private:
  struct Allocation {
    HostMemory memory;     // what kernels see
    HostMemory addresses;  // what the host names it by
  };

  template <typename F>
  void push(F&& fill) {
    fill(queue_.begin_push());
    queue_.end_push();
  }
  void copy(void* target, const void* source, size_t bytes) {
    push([&](Command& command) {
      command.kind = Command::Kind::copy;
      command.target = target;
      command.source = source;
      command.bytes = bytes;
    });
  }

  void work() {
    while (true) {
      const Command& command = queue_.front();
      switch (command.kind) {
        case Command::Kind::copy: std::memmove(command.target, command.source, command.bytes); break;
        case Command::Kind::launch: runner_.run(*command.launch); break;
        case Command::Kind::replay:
          for (const ProcessorLaunch* launch : command.program->launches) runner_.run(*launch);
          break;
        case Command::Kind::stop: return;
      }
      queue_.pop();
    }
  }

  KernelRunner runner_;
  std::map<uint64_t, Allocation> allocations_;  // the host's
  std::vector<HostMemory> host_blocks_;
  CommandQueue queue_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Device> make_shadow_device(int threads) { return std::make_unique<ShadowDevice>(threads); }

}  // namespace incipit
