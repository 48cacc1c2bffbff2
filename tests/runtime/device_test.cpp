#include "runtime/device.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace incipit {
namespace {

/// out[i] = in[i] + step, tile i; checks that the scratch is this worker's own.
struct AddCode final : Launch::Code {
  struct Args {
    const int32_t* in;
    int32_t* out;
    int32_t count, step;
  };
  int64_t tiles(const void* arguments) const override { return static_cast<const Args*>(arguments)->count; }
  void run(const void* arguments, int64_t tile, std::byte* scratch) const override {
    const Args& args = *static_cast<const Args*>(arguments);
    std::memset(scratch, static_cast<int>(tile), scratch_bytes);
    for (size_t i = 0; i < scratch_bytes; ++i) {
      if (scratch[i] != static_cast<std::byte>(tile)) torn = true;
    }
    args.out[tile] = args.in[tile] + args.step;
  }
  static constexpr size_t scratch_bytes = 100;
  mutable std::atomic<bool> torn{false};
};

class DeviceTest : public ::testing::TestWithParam<std::pair<const char*, int>> {
 protected:
  std::unique_ptr<Device> make() const {
    const auto [name, threads] = GetParam();
    return std::string_view(name) == "cpu" ? make_cpu_device(threads) : make_shadow_device(threads);
  }

  static void launch(Device& device, const AddCode& code, DeviceAddress in, DeviceAddress out, int32_t count,
                     int32_t step) {
    Launch launch;
    launch.code = &code;
    new (launch.arguments) AddCode::Args{reinterpret_cast<const int32_t*>(device.kernel_pointer(in)),
                                         reinterpret_cast<int32_t*>(device.kernel_pointer(out)), count, step};
    device.launch(launch);
  }
};

TEST_P(DeviceTest, WorkRunsInOrder) {
  constexpr int32_t count = 50;
  AddCode code;  // outlives the device
  const auto device = make();
  device->reserve_scratch(AddCode::scratch_bytes);
  const DeviceAddress a = device->allocate(4 * count, "a"), b = device->allocate(4 * count, "b");
  EXPECT_EQ(reinterpret_cast<uint64_t>(device->kernel_pointer(a)) % 64, 0u);
  std::vector<int32_t> source(count), result(count);
  std::iota(source.begin(), source.end(), 0);
  device->copy_to_device(a, source.data(), 4 * count);
  // Far more work than any queue holds.
  for (int32_t i = 0; i < 3000; ++i) {
    launch(*device, code, a, b, count, 1);
    device->copy_on_device(a, b, 4 * count);
  }
  device->copy_to_host(result.data(), a + 4, 4 * (count - 1));
  device->wait(device->record());
  for (int32_t i = 0; i + 1 < count; ++i) ASSERT_EQ(result[static_cast<size_t>(i)], i + 1 + 3000);
  EXPECT_FALSE(code.torn);
  device->release(a);
  device->release(b);
}

TEST_P(DeviceTest, MemoryBeginsAsZeros) {
  const auto device = make();
  const DeviceAddress address = device->allocate(1 << 20, "zeros");
  std::vector<std::byte> bytes(1 << 20, std::byte{1});
  device->copy_to_host(bytes.data(), address, bytes.size());
  device->wait(device->record());
  EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; }));
  device->release(address);
}

TEST_P(DeviceTest, AdoptedBytesAreReadable) {
  alignas(64) static const std::array<int32_t, 16> values{1, 2, 3, 4};
  const auto device = make();
  const DeviceAddress address =
      device->adopt(reinterpret_cast<const std::byte*>(values.data()), sizeof values, "values");
  std::array<int32_t, 16> result{};
  device->copy_to_host(result.data(), address, sizeof result);
  device->wait(device->record());
  EXPECT_EQ(result, values);
  device->release(address);
}

TEST_P(DeviceTest, MoreMemoryThanThereIsIsRefusedByName) {
  const auto device = make();
  try {
    device->allocate(size_t{1} << 60, "a mountain");
    FAIL() << "allocated";
  } catch (const Error& error) {
    EXPECT_NE(error.fault().find("a mountain"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeviceTest,
                         ::testing::Values(std::pair{"cpu", 1}, std::pair{"cpu", 3}, std::pair{"shadow", 1},
                                           std::pair{"shadow", 3}),
                         [](const auto& test) {
                           return test.param.first + std::string("_") + std::to_string(test.param.second);
                         });

TEST(ShadowDeviceDeathTest, TheHostCannotFollowAnAddress) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto device = make_shadow_device(1);
        const DeviceAddress address = device->allocate(64, "memory");
        std::byte read = *reinterpret_cast<volatile std::byte*>(address.value);
        static_cast<void>(read);
      },
      "");
}

}  // namespace
}  // namespace incipit
