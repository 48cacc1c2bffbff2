// The processor as a device: its memory is the host's, and every call has done its work when it returns.
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "base/error.h"
#include "device/device.h"
#include "device/host_memory.h"
#include "device/kernel_runner.h"
#include "device/memory_ahead.h"

namespace incipit {
namespace {

DeviceAddress address_of(const std::byte* pointer) { return {reinterpret_cast<uint64_t>(pointer)}; }
std::byte* pointer_of(DeviceAddress address) { return reinterpret_cast<std::byte*>(address.value); }

/// Asks the system to read a mapping ahead; it goes on by itself.
void will_need(const std::byte* data, size_t bytes) {
  constexpr uint64_t page = 4096;
  const uint64_t begin = reinterpret_cast<uint64_t>(data) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), reinterpret_cast<uint64_t>(data) + bytes - begin, MADV_WILLNEED);
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : runner_(threads) {}

  Target target() const override { return this_machine(Backend::cpu); }

  DeviceAddress allocate(size_t bytes, std::string_view what) override {
    HostMemory memory(bytes, what);
    const DeviceAddress address = address_of(memory.data());
    allocations_.emplace(address.value, std::move(memory));
    return address;
  }
  void expect_use(DeviceAddress address, size_t bytes) override { ahead_.add(pointer_of(address), bytes); }
  bool wait_for_memory(std::chrono::nanoseconds timeout) override { return ahead_.wait(timeout); }
  void release(DeviceAddress address) override {
    ahead_.remove(pointer_of(address));
    allocations_.erase(address.value);
  }
  DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view) override {
    INCIPIT_ASSERT(reinterpret_cast<uint64_t>(data) % 64 == 0);
    if (bytes > 0) will_need(data, bytes);
    return address_of(data);
  }
  void discard(DeviceAddress) override {}
  void give_memory_back(DeviceAddress address) override {
    ahead_.remove(pointer_of(address));
    allocations_.at(address.value).give_back();
  }
  HostBlock allocate_host(size_t bytes, std::string_view what) override {
    std::byte* const data = pointer_of(allocate(bytes, what));
    return {data, data};
  }

  void load_code(std::span<const std::byte>) override {}
  std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request) override { return runner_.prepare(request); }
  std::unique_ptr<Program> record(std::span<const PreparedLaunch* const> launches) override {
    return std::make_unique<ProcessorProgram>(launches);
  }

  void copy_to_device(DeviceAddress target, const void* source, size_t bytes) override {
    std::memcpy(pointer_of(target), source, bytes);
  }
  void copy_to_host(void* target, DeviceAddress source, size_t bytes) override {
    std::memcpy(target, pointer_of(source), bytes);
  }
  void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) override {
    std::memmove(pointer_of(target), pointer_of(source), bytes);
  }
  void launch(const PreparedLaunch& launch) override {
    ahead_.begin_work();
    runner_.run(static_cast<const ProcessorLaunch&>(launch));
    ahead_.end_work();
  }
  void replay(const Program& program) override {
    ahead_.begin_work();
    for (const ProcessorLaunch* launch : static_cast<const ProcessorProgram&>(program).launches) runner_.run(*launch);
    ahead_.end_work();
  }
  Event record_event() override { return {}; }
  void wait(Event) override {}
  void wait_for(uint64_t& done, uint64_t step) override { INCIPIT_ASSERT(done >= step); }

  int workers() const override { return runner_.workers(); }

 private:
  KernelRunner runner_;
  std::map<uint64_t, HostMemory> allocations_;
  MemoryAhead ahead_;  // the last: it uses the others
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads) { return std::make_unique<CpuDevice>(threads); }

}  // namespace incipit
