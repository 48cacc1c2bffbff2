// The CUDA device, where there is a GPU: what tests/device holds the others to, with kernels that are compiled here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/cuda_driver.h"
#include "device/launch.h"
#include "kernels/families.h"
#include "kernels/sampling.h"
#include "support/message_of.h"
#include "tune/cuda_compiler.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

class CudaDeviceTest : public ::testing::Test {
 protected:
  static constexpr int32_t width = 64, most_rows = 8;

  void SetUp() override {
    if (!cuda::fault().empty()) GTEST_SKIP() << "no GPU";
    device = make_cuda_device();
    if (!nvrtc_fault().empty()) GTEST_SKIP() << "no NVRTC";
    CudaCompiler compiler(device->target(), {}, 0);
    device->load_code(compiler.code_of({function_of(gather, problem, gather.configs[0])}));
    device->load_code(compiler.code_of({function_of(publish, {}, publish.configs[0])}));  // beside the other
    std::iota(table.begin(), table.end(), 0);
    input = device->adopt(reinterpret_cast<const std::byte*>(table.data()), table.size() * sizeof(int32_t), "table");
    index = device->allocate(most_rows * sizeof(int32_t), "index");
    output = device->allocate(most_rows * width * sizeof(int32_t), "output");
    counts = device->allocate(sizeof(StepCounts), "counts");
    done = device->allocate_host(sizeof(uint64_t), "done");
  }

  std::unique_ptr<PreparedLaunch> prepare_gather() {
    const GatherRows::Args args{0,
                                reinterpret_cast<const int32_t*>(index.kernel_pointer()),
                                input.kernel_pointer(),
                                width,
                                output.kernel_pointer(),
                                width,
                                true};
    return prepare<GatherRows>(*device,
                               std::make_shared<const KernelCode<GatherRows>>(gather, gather.configs[0], problem), args,
                               most_rows, counts_pointer());
  }
  std::unique_ptr<PreparedLaunch> prepare_publish() {
    return prepare<Publish>(
        *device, std::make_shared<const KernelCode<Publish>>(publish, publish.configs[0], Publish::Problem{}),
        {0, reinterpret_cast<uint64_t*>(done.kernel_pointer)}, 1, counts_pointer());
  }
  const StepCounts* counts_pointer() { return reinterpret_cast<const StepCounts*>(counts.kernel_pointer()); }
  uint64_t& published() { return *reinterpret_cast<uint64_t*>(done.host); }

  /// The rows that a step of these gives.
  template <typename Run>
  std::vector<int32_t> step(uint64_t number, std::vector<int32_t> rows, Run run) {
    StepCounts of_step;
    of_step.tokens = static_cast<int32_t>(rows.size());
    of_step.step = number;
    device->copy_to_device(index, rows.data(), rows.size() * sizeof(int32_t));
    device->copy_to_device(counts, &of_step, sizeof of_step);
    run();
    device->wait_for(published(), number);
    std::vector<int32_t> result(static_cast<size_t>(most_rows) * width);
    device->copy_to_host(result.data(), output, result.size() * sizeof(int32_t));
    device->wait(device->record_event());
    return result;
  }

  const Kernel<GatherRows>& gather = *find_kernel<GatherRows>("gather_rows/cuda");
  const Kernel<Publish>& publish = *kernels_for<Publish>(Target(Backend::cuda, least_cuda)).front();
  GatherRows::Problem problem{width, DType::i32};
  alignas(64) std::array<int32_t, 100 * width> table{};
  std::unique_ptr<Device> device;
  DeviceAddress input, index, output, counts;
  HostBlock done;
};

TEST_F(CudaDeviceTest, ReplaysAProgramWithOtherCountsEachTime) {
  const auto first = prepare_gather(), second = prepare_publish();
  const std::vector<const PreparedLaunch*> launches{first.get(), second.get()};
  const auto program = device->record(launches);
  for (uint64_t number = 1; number < 20; ++number) {
    const auto rows = static_cast<int32_t>(number % most_rows);
    std::vector<int32_t> index_of(static_cast<size_t>(rows));
    for (int32_t& row : index_of)
      row = static_cast<int32_t>(number * 7 + static_cast<uint64_t>(&row - index_of.data())) % 100;
    const auto result = step(number, index_of, [&] {
      if (number % 2 == 0) {
        device->replay(*program);
      } else {
        for (const PreparedLaunch* launch : launches) device->launch(*launch);
      }
    });
    EXPECT_EQ(published(), number);
    for (int32_t row = 0; row < rows; ++row) {
      for (int32_t i = 0; i < width; ++i) {
        ASSERT_EQ(result[static_cast<size_t>(row * width + i)], index_of[static_cast<size_t>(row)] * width + i);
      }
    }
  }
}

TEST_F(CudaDeviceTest, BringsLargeWeightsOver) {
  for (const size_t words : {size_t{1}, (size_t{8} << 20) / 4 + 1, size_t{30} << 20}) {
    std::vector<uint32_t> data(words);
    uint32_t value = 1;
    for (uint32_t& word : data) word = value = value * 1664525 + 1013904223;
    const DeviceAddress there = device->adopt(reinterpret_cast<const std::byte*>(data.data()), words * 4, "weights");
    std::vector<uint32_t> back(words);
    device->copy_to_host(back.data(), there, words * 4);
    device->wait(device->record_event());
    EXPECT_TRUE(back == data) << words;
    device->release(there);
  }
}

TEST_F(CudaDeviceTest, MemoryIsZeroAndEventsComeInOrder) {
  const DeviceAddress memory = device->allocate(1000, "zeros"), other = device->allocate(1000, "zeros");
  std::vector<uint8_t> bytes(1000, 1);
  device->copy_to_host(bytes.data(), memory, bytes.size());
  device->wait(device->record_event());
  EXPECT_THAT(bytes, ::testing::Each(0));
  std::vector<Event> events;
  for (uint32_t i = 0; i < 200; ++i) {  // more than there are at once
    bytes.assign(1000, static_cast<uint8_t>(i));
    device->copy_to_device(memory, bytes.data(), bytes.size());
    device->copy_on_device(other, memory, 1000);
    events.push_back(device->record_event());
    device->wait(events.back());
  }
  for (const Event event : events) device->wait(event);
  std::vector<uint8_t> last(1000);
  device->copy_to_host(last.data(), other, last.size());
  device->wait(device->record_event());
  EXPECT_THAT(last, ::testing::Each(199));
  const auto launch = prepare_gather();
  EXPECT_GT(device->time(*launch), 0);
}

TEST_F(CudaDeviceTest, RefusesInOneLine) {
  const std::string memory = message_of([&] { device->allocate(size_t{1} << 50, "everything"); });
  EXPECT_THAT(memory, HasSubstr("1125899906842624 bytes for everything"));
  EXPECT_THAT(memory, HasSubstr(cuda::gpu().name));
  EXPECT_EQ(memory.find('\n'), memory.npos);
  const KernelConfig& config = gather.configs[0];
  const std::string function = message_of([&] {
    prepare(*device, gather, config, GatherRows::Problem{width, DType::i8}, {}, 1);
  });
  EXPECT_THAT(function, HasSubstr("has no function 'gather_rows ELEMENT=uint8_t'"));
  EXPECT_THAT(message_of([&] { device->load_code(std::as_bytes(std::span("nonsense\n", 9))); }),
              HasSubstr("'nonsense' is no function"));
}

}  // namespace
}  // namespace incipit
