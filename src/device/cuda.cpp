// A GPU by CUDA's driver: one queue, in which copies and launches run one after the other, and one of copies ahead of
// it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "device/cuda_context.h"
#include "device/cuda_launch.h"
#include "device/cuda_upload.h"
#include "device/device.h"

namespace incipit {
namespace {

/// Points in the queue: numbers, each with an event of a ring. Who waits for one whose event was taken again waits for
/// a later point, which is behind it.
class CudaEvents {
 public:
  CudaEvents() {
    for (CudaEvent& event : ring_) event = make_cuda_event(cuda::event_without_time);
  }
  uint64_t record(cuda::Stream stream) {
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.record_event(ring_[++last_ % ring_.size()].get(), stream), "marking a point of its queue");
    return last_;
  }
  void wait(uint64_t number) {
    if (number <= passed_) return;
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.finish_event(ring_[number % ring_.size()].get()), "its work");
    passed_ = number;
  }

 private:
  std::array<CudaEvent, 64> ring_;
  uint64_t last_ = 0, passed_ = 0;
};

CudaLimits limits_of_gpu() {
  const cuda::Driver& driver = cuda_driver();
  const auto attribute = [&](cuda::DeviceAttribute of) {
    int value = 0;
    driver.check(driver.device_attribute(&value, of, cuda::gpu().device), "asking for its size");
    return value;
  };
  return {attribute(cuda::DeviceAttribute::multiprocessors), attribute(cuda::DeviceAttribute::shared_bytes_of_a_block)};
}

class CudaDevice final : public Device {
 public:
  CudaDevice()
      : limits_(limits_of_gpu()),
        stream_(make_cuda_stream()),
        copies_ahead_(make_cuda_stream()),
        start_(make_cuda_event(0)),
        stop_(make_cuda_event(0)),
        copied_(make_cuda_event(cuda::event_without_time)),
        busy_work_(reserve(busy_work_bytes, "timing")) {}
  ~CudaDevice() override {
    cuda_driver().finish_stream(stream_.get());
    for (const auto& [address, bytes] : memory_) cuda_driver().release(address);
  }

  Target target() const override { return this_machine(Backend::cuda); }

  DeviceAddress allocate(size_t bytes, std::string_view what) override {
    const DeviceAddress address = reserve(bytes, what);
    const cuda::Driver& driver = cuda_driver();
    if (bytes > 0) {
      driver.check(driver.fill(address.value, 0, bytes, stream_.get()), fmt::format("clearing memory for {}", what));
    }
    return address;
  }
  void release(DeviceAddress address) override {
    if (memory_.erase(address.value) > 0) cuda_driver().release(address.value);  // waits for work that may use it
  }
  DeviceAddress adopt(const std::byte* data, size_t bytes, std::string_view what) override {
    const DeviceAddress address = reserve(bytes, what);
    upload_to_gpu(address.value, {data, bytes});
    return address;
  }
  void discard(DeviceAddress) override {}
  HostBlock allocate_host(size_t bytes, std::string_view what) override {
    const cuda::Driver& driver = cuda_driver();
    void* memory = nullptr;
    const cuda::Result result = driver.allocate_host(&memory, std::max<size_t>(bytes, 1),
                                                     cuda::host_memory_portable | cuda::host_memory_mapped);
    driver.check(result, fmt::format("taking {} bytes of host memory for {}", bytes, what));
    host_blocks_.emplace_back(memory);
    std::memset(memory, 0, bytes);
    cuda::Address address = 0;
    driver.check(driver.host_address(&address, memory, 0), fmt::format("finding its address of {}", what));
    return {static_cast<std::byte*>(memory), DeviceAddress{address}.kernel_pointer()};
  }

  void load_code(std::span<const std::byte> code) override { functions_.load(code); }
  std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request) override {
    return prepare_cuda_launch(request, functions_, memory_, limits_);
  }
  std::unique_ptr<Program> record(std::span<const PreparedLaunch* const> launches) override {
    return record_cuda_program(launches, stream_.get());
  }

  void copy_to_device(DeviceAddress target, const void* source, size_t bytes) override {
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.copy_to_device(target.value, source, bytes, stream_.get()), "a copy to it");
  }
  /// Between two programs a copy in their queue costs some 8 µs, which is 2 % of a small model's token.
  void copy_ahead(DeviceAddress target, const void* source, size_t bytes) override {
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.copy_to_device(target.value, source, bytes, copies_ahead_.get()), "a copy to it");
    driver.check(driver.record_event(copied_.get(), copies_ahead_.get()), "marking a copy's end");
    driver.check(driver.wait_event(stream_.get(), copied_.get(), 0), "waiting for a copy");
  }
  void copy_to_host(void* target, DeviceAddress source, size_t bytes) override {
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.copy_to_host(target, source.value, bytes, stream_.get()), "a copy from it");
  }
  void copy_on_device(DeviceAddress target, DeviceAddress source, size_t bytes) override {
    const cuda::Driver& driver = cuda_driver();
    driver.check(driver.copy_on_device(target.value, source.value, bytes, stream_.get()), "a copy on it");
  }
  void launch(const PreparedLaunch& launch) override {
    static_cast<const CudaPreparedLaunch&>(launch).launch(stream_.get());
  }
  void replay(const Program& program) override { static_cast<const CudaProgram&>(program).replay(stream_.get()); }
  Event record_event() override { return {events_.record(stream_.get())}; }
  void wait(Event event) override { events_.wait(event.sequence); }

  /// Looks at the host's memory, and now and then at the queue: work that failed never publishes.
  void wait_for(uint64_t& done, uint64_t step) override {
    const std::atomic_ref<uint64_t> published(done);
    const cuda::Driver& driver = cuda_driver();
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t looks = 1; published.load(std::memory_order_acquire) < step; ++looks) {
      if (looks % looks_before_asking != 0) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        continue;
      }
      const cuda::Result state = driver.query_stream(stream_.get());
      if (state != cuda::Result::not_ready) {
        driver.check(state, "a step");
        INCIPIT_ASSERT(published.load(std::memory_order_acquire) >= step);  // else nothing was launched that publishes
      }
      if (std::chrono::steady_clock::now() - start > longest_spin) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }

  /// By the GPU's own clock. It is kept busy until the launches and the ends of their time are all in the queue, or the
  /// host's calls would be timed with them.
  double time(std::span<const PreparedLaunch* const> launches) override {
    wait(record_event());
    const cuda::Driver& driver = cuda_driver();
    constexpr std::string_view purpose = "timing launches";
    for (size_t i = 0; i < 1 + launches.size(); ++i) {
      driver.check(driver.fill(busy_work_.value, 0, busy_work_bytes, stream_.get()), purpose);
    }
    driver.check(driver.record_event(start_.get(), stream_.get()), purpose);
    for (const PreparedLaunch* launched : launches) launch(*launched);
    driver.check(driver.record_event(stop_.get(), stream_.get()), purpose);
    driver.check(driver.finish_event(stop_.get()), purpose);
    float milliseconds = 0;
    driver.check(driver.elapsed(&milliseconds, start_.get(), stop_.get()), purpose);
    return static_cast<double>(milliseconds) * 1e-3;
  }

  int workers() const override { return 1; }

 private:
  static constexpr uint32_t looks_before_asking = 4096;  // some 100 µs
  static constexpr std::chrono::milliseconds longest_spin{200};
  static constexpr size_t busy_work_bytes = size_t{16} << 20;  // some 6 µs

  /// Memory as it comes.
  DeviceAddress reserve(size_t bytes, std::string_view what) {
    const cuda::Driver& driver = cuda_driver();
    cuda::Address address = 0;
    const cuda::Result result = driver.allocate(&address, std::max<size_t>(bytes, 1));
    if (result == cuda::Result::out_of_memory) {
      size_t left = 0, all = 0;
      driver.memory_info(&left, &all);
      throw Error("GPU",
                  fmt::format("{} bytes for {} are more than the {} that are free of the {} of this {}", bytes, what,
                              left, all, cuda::gpu().name),
                  "end what else uses it, or build the engine with a smaller --max-context, --max-batch or --memory");
    }
    driver.check(result, fmt::format("taking {} bytes for {}", bytes, what));
    memory_.emplace(address, bytes);
    return {address};
  }

  CudaLimits limits_;
  CudaStream stream_, copies_ahead_;
  CudaEvent start_, stop_, copied_;
  CudaEvents events_;
  CudaFunctions functions_;
  CudaMemory memory_;
  DeviceAddress busy_work_;  // behind the set that it stands in
  std::vector<CudaHostMemory> host_blocks_;
};

}  // namespace

std::unique_ptr<Device> make_cuda_device() { return std::make_unique<CudaDevice>(); }

}  // namespace incipit
