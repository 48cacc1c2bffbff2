// A device that behaves as an accelerator across a bus would: the host cannot follow an address of its memory, its
// queue runs behind the host's back, and it refuses what an accelerator refuses. It computes with references.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "device/device.h"
#include "device/host_memory.h"
#include "kernels/kernel.h"
#include "kernels/shadow/device_code.h"

namespace incipit {
namespace {

/// Where the bytes lie that device addresses stand for.
class AddressSpace {
 public:
  /// `what` as for Device::allocate(). Returns the first address.
  std::byte* add(size_t bytes, std::string_view what) {
    Range range{HostMemory(bytes, what), HostMemory::inaccessible(bytes)};
    std::byte* const address = range.addresses.data();
    ranges_.emplace(reinterpret_cast<uint64_t>(address), std::move(range));
    return address;
  }
  void remove(DeviceAddress address) { ranges_.erase(address.value); }

  std::byte* memory_at(DeviceAddress address) const {
    std::byte* const memory = find(address.value);
    INCIPIT_ASSERT(memory != nullptr);
    return memory;
  }
  /// From an address on; none where no memory is.
  size_t bytes_from(const std::byte* address) const {
    const auto value = reinterpret_cast<uint64_t>(address);
    const auto found = ranges_.upper_bound(value);
    if (found == ranges_.begin()) return 0;
    const auto& [first, range] = *std::prev(found);
    return range.memory.size() - std::min<size_t>(value - first, range.memory.size());
  }
  /// Of what add() returned.
  size_t size_of(DeviceAddress address) const { return ranges_.at(address.value).memory.size(); }

  /// Makes device addresses what they stand for. Arguments are plain structs: their pointers are aligned words, and
  /// nothing else in them has the value of a reserved address.
  void translate(std::byte* arguments, size_t bytes) const {
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, arguments + at, sizeof word);
      if (std::byte* const memory = find(word)) std::memcpy(arguments + at, &memory, sizeof memory);
    }
  }

 private:
  struct Range {
    HostMemory memory;     // what kernels work on
    HostMemory addresses;  // what the host names it by
  };

  /// nullptr where no memory is.
  std::byte* find(uint64_t address) const {
    auto found = ranges_.upper_bound(address);
    if (found == ranges_.begin()) return nullptr;
    --found;
    const uint64_t offset = address - found->first;
    return offset < found->second.memory.size() ? found->second.memory.data() + offset : nullptr;
  }

  std::map<uint64_t, Range> ranges_;
};

struct ShadowLaunch final : PreparedLaunch {
  std::shared_ptr<const LaunchCode> code;
  const StepCounts* counts = nullptr;
  HostMemory scratch;
  alignas(64) std::byte arguments[LaunchRequest::max_argument_bytes] = {};

  void run() const {
    alignas(64) std::byte counted[sizeof arguments];
    std::memcpy(counted, arguments, sizeof counted);
    if (counts != nullptr && !code->take_counts(counted, *counts)) return;
    begin_step(scratch.data(), scratch.size());
    const int64_t tiles = code->tiles(counted);
    for (int64_t tile = 0; tile < tiles; ++tile) code->run(counted, tile, scratch.data());
  }
};

struct ShadowProgram final : Program {
  std::vector<const ShadowLaunch*> launches;
};

struct Command {
  enum class Kind : uint8_t { copy, fill, launch, replay, stop };
  Kind kind = Kind::copy;
  void* target = nullptr;
  const void* source = nullptr;
  size_t bytes = 0;
  const ShadowLaunch* launch = nullptr;
  const ShadowProgram* program = nullptr;
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
  ShadowDevice() : thread_([this] { work(); }) {}
  ~ShadowDevice() override {
    push({.kind = Command::Kind::stop});
    thread_.join();
  }

  Target target() const override { return this_machine(Backend::shadow); }

  DeviceAddress allocate(size_t bytes, std::string_view what) override {
    return {reinterpret_cast<uint64_t>(memory_.add(bytes, what))};
  }
  void release(DeviceAddress address) override {
    wait(record_event());
    memory_.remove(address);
  }
  /// The host has the memory, and kernels an address for it as for any other.
  HostBlock allocate_host(size_t bytes, std::string_view what) override {
    const DeviceAddress address = allocate(bytes, what);
    return {memory_.memory_at(address), address.kernel_pointer()};
  }
  DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view what) override {
    const DeviceAddress address = allocate(bytes, what);
    if (bytes > 0) std::memcpy(memory_.memory_at(address), data, bytes);
    return address;
  }
  void discard(DeviceAddress address) override {
    push({.kind = Command::Kind::fill, .target = memory_.memory_at(address), .bytes = memory_.size_of(address)});
  }

  void load_code(std::span<const std::byte> code) override { functions_.merge(read_device_code(code)); }
  std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request) override {
    const DeviceFunction function = request.code->function();
    if (!functions_.contains(function)) {
      throw Error("device code", fmt::format("has no function '{}' of ABI {}", function.name, function.abi),
                  "build the engine again with this incipit");
    }
    for (const TensorMap& map : request.code->tensor_maps(request.arguments.data(), request.rows)) {
      if (const std::string fault = fault_of(map, memory_.bytes_from(map.base)); !fault.empty()) {
        throw Error(fmt::format("operand '{}'", map.operand), fault,
                    "build the engine again with this incipit, or for another --target");
      }
    }
    auto launch = std::make_unique<ShadowLaunch>();
    INCIPIT_ASSERT(request.arguments.size() <= sizeof launch->arguments);
    launch->code = request.code;
    if (const size_t scratch = request.code->scratch_bytes(request.rows); scratch > 0) {
      launch->scratch = HostMemory(scratch, "scratch");
    }
    if (!request.arguments.empty()) {
      std::memcpy(launch->arguments, request.arguments.data(), request.arguments.size());
    }
    memory_.translate(launch->arguments, request.arguments.size());
    if (request.counts != nullptr) {
      const DeviceAddress counts{reinterpret_cast<uint64_t>(request.counts)};
      launch->counts = reinterpret_cast<const StepCounts*>(memory_.memory_at(counts));
    }
    return launch;
  }
  std::unique_ptr<Program> record(std::span<const PreparedLaunch* const> launches) override {
    auto program = std::make_unique<ShadowProgram>();
    for (const PreparedLaunch* launch : launches) {
      program->launches.push_back(static_cast<const ShadowLaunch*>(launch));
    }
    return program;
  }

  void copy_to_device(DeviceAddress target, const void* source, size_t bytes) override {
    copy(memory_.memory_at(target), source, bytes);
  }
  void copy_to_host(void* target, DeviceAddress source, size_t bytes) override {
    copy(target, memory_.memory_at(source), bytes);
  }
  void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) override {
    copy(memory_.memory_at(target), memory_.memory_at(source), bytes);
  }
  void launch(const PreparedLaunch& launch) override {
    push({.kind = Command::Kind::launch, .launch = static_cast<const ShadowLaunch*>(&launch)});
  }
  void replay(const Program& program) override {
    push({.kind = Command::Kind::replay, .program = static_cast<const ShadowProgram*>(&program)});
  }
  Event record_event() override { return {queue_.submitted()}; }
  void wait(Event event) override { queue_.wait(event.sequence); }
  void wait_for(uint64_t& done, uint64_t step) override {
    const std::atomic_ref<uint64_t> published(done);
    for (int looks = 0; published.load(std::memory_order_acquire) < step; ++looks) {
      if (looks < 100) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    }
  }

  int workers() const override { return 1; }

 private:
  void push(const Command& command) {
    queue_.begin_push() = command;
    queue_.end_push();
  }
  void copy(void* target, const void* source, size_t bytes) {
    push({.kind = Command::Kind::copy, .target = target, .source = source, .bytes = bytes});
  }

  void work() {
    while (true) {
      const Command& command = queue_.front();
      switch (command.kind) {
        case Command::Kind::copy: std::memmove(command.target, command.source, command.bytes); break;
        case Command::Kind::fill: std::memset(command.target, 0xff, command.bytes); break;  // NaN in every type
        case Command::Kind::launch: command.launch->run(); break;
        case Command::Kind::replay:
          for (const ShadowLaunch* launch : command.program->launches) launch->run();
          break;
        case Command::Kind::stop: return;
      }
      queue_.pop();
    }
  }

  AddressSpace memory_;  // the host's
  std::set<DeviceFunction> functions_;
  CommandQueue queue_;
  std::thread thread_;  // last: it uses the queue
};

}  // namespace

std::unique_ptr<Device> make_shadow_device() { return std::make_unique<ShadowDevice>(); }

}  // namespace incipit
