#include "device/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "device/launch.h"
#include "kernels/sampling.h"

namespace incipit {
namespace {

/// out[i] = in[i] + step, tile i; checks that the scratch is this worker's own.
struct AddCode final : LaunchCode {
  struct Args {
    const int32_t* in;
    int32_t* out;
    int32_t count, step;
  };
  DeviceFunction function() const override { return {"add", 1}; }
  bool take_counts(void* arguments, const StepCounts& counts) const override {
    static_cast<Args*>(arguments)->count = counts.rows;
    return counts.rows > 0;
  }
  size_t scratch_bytes(int32_t) const override { return own_scratch; }
  int64_t tiles(const void* arguments) const override { return static_cast<const Args*>(arguments)->count; }
  void run(const void* arguments, int64_t tile, std::byte* scratch) const override {
    const Args& args = *static_cast<const Args*>(arguments);
    std::memset(scratch, static_cast<int>(tile), own_scratch);
    for (size_t i = 0; i < own_scratch; ++i) {
      if (scratch[i] != static_cast<std::byte>(tile)) torn = true;
    }
    args.out[tile] = args.in[tile] + args.step;
  }
  static constexpr size_t own_scratch = 100;
  mutable std::atomic<bool> torn{false};
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// With what these tests launch.
std::unique_ptr<Device> make_shadow() {
  auto device = make_shadow_device();
  device->load_code(bytes_of("add 1\ngate 1\npublish/shadow 1\n"));
  return device;
}

class DeviceTest : public ::testing::TestWithParam<std::pair<const char*, int>> {
 protected:
  std::unique_ptr<Device> make() const {
    const auto [name, threads] = GetParam();
    return std::string_view(name) == "cpu" ? make_cpu_device(threads) : make_shadow();
  }

  static std::unique_ptr<PreparedLaunch> prepare(Device& device, std::shared_ptr<const AddCode> code, DeviceAddress in,
                                                 DeviceAddress out, int32_t count, const StepCounts* counts = nullptr) {
    const AddCode::Args args{reinterpret_cast<const int32_t*>(in.kernel_pointer()),
                             reinterpret_cast<int32_t*>(out.kernel_pointer()), count, 1};
    return device.prepare({std::move(code), std::as_bytes(std::span(&args, 1)), counts, count});
  }
};

TEST_P(DeviceTest, WorkRunsInOrder) {
  constexpr int32_t count = 50;
  const auto code = std::make_shared<const AddCode>();
  const auto device = make();
  const DeviceAddress a = device->allocate(4 * count, "a"), b = device->allocate(4 * count, "b");
  EXPECT_EQ(reinterpret_cast<uint64_t>(a.kernel_pointer()) % 64, 0u);
  std::vector<int32_t> source(count), result(count);
  std::iota(source.begin(), source.end(), 0);
  device->copy_to_device(a, source.data(), 4 * count);
  const auto launch = prepare(*device, code, a, b, count);
  // Far more work than any queue holds.
  for (int32_t i = 0; i < 3000; ++i) {
    device->launch(*launch);
    device->copy_on_device(a, b, 4 * count);
  }
  device->copy_to_host(result.data(), a + 4, 4 * (count - 1));
  device->wait(device->record_event());
  for (int32_t i = 0; i + 1 < count; ++i) ASSERT_EQ(result[static_cast<size_t>(i)], i + 1 + 3000);
  EXPECT_FALSE(code->torn);
  device->release(a);
  device->release(b);
}

TEST_P(DeviceTest, ProgramsReadTheirCountsWhenTheyRun) {
  constexpr int32_t most = 50;
  const auto code = std::make_shared<const AddCode>();
  const auto device = make();
  const DeviceAddress a = device->allocate(4 * most, "a"), b = device->allocate(4 * most, "b");
  const DeviceAddress block = device->allocate(sizeof(StepCounts), "counts");
  const auto* counts = reinterpret_cast<const StepCounts*>(block.kernel_pointer());
  const HostBlock done = device->allocate_host(sizeof(uint64_t), "done");
  const auto forth = prepare(*device, code, a, b, most, counts), back = prepare(*device, code, b, a, most, counts);
  const Kernel<Publish>& publish = *kernels_for<Publish>(device->target()).front();
  const auto publish_code =
      std::make_shared<const KernelCode<Publish>>(publish, publish.configs[0], Publish::Problem{});
  const auto end = incipit::prepare<Publish>(*device, publish_code,
                                             {0, reinterpret_cast<uint64_t*>(done.kernel_pointer)}, 1, counts);
  const std::array<const PreparedLaunch*, 3> launches{forth.get(), back.get(), end.get()};
  const auto program = device->record(launches);
  std::vector<int32_t> expected(most), result(most);
  uint64_t step = 0;
  for (const int32_t rows : {7, 0, 50, 1}) {
    StepCounts now;
    now.rows = rows;
    now.step = ++step;
    device->copy_to_device(block, &now, sizeof now);
    device->replay(*program);
    device->wait_for(*reinterpret_cast<uint64_t*>(done.host), step);
    now = {};  // the host's copy is its own again
    for (int32_t i = 0; i < rows; ++i) expected[static_cast<size_t>(i)] += 2;
    device->copy_to_host(result.data(), a, 4 * most);
    device->wait(device->record_event());
    EXPECT_EQ(result, expected) << rows;
  }
}

TEST_P(DeviceTest, MemoryBeginsAsZeros) {
  const auto device = make();
  const DeviceAddress address = device->allocate(1 << 20, "zeros");
  std::vector<std::byte> bytes(1 << 20, std::byte{1});
  device->copy_to_host(bytes.data(), address, bytes.size());
  device->wait(device->record_event());
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
  device->wait(device->record_event());
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
                         ::testing::Values(std::pair{"cpu", 1}, std::pair{"cpu", 3}, std::pair{"shadow", 1}),
                         [](const auto& test) {
                           return test.param.first + std::string("_") + std::to_string(test.param.second);
                         });

TEST(ShadowDeviceDeathTest, TheHostCannotFollowAnAddress) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto follow = [](const std::byte* pointer) {
    const std::byte read = *static_cast<const volatile std::byte*>(pointer);
    static_cast<void>(read);
  };
  EXPECT_DEATH(follow(make_shadow_device()->allocate(64, "memory").kernel_pointer()), "");
  EXPECT_DEATH(follow(make_shadow_device()->allocate_host(64, "memory").kernel_pointer), "");
  alignas(64) static const std::array<std::byte, 64> weights{};
  EXPECT_DEATH(follow(make_shadow_device()->adopt(weights.data(), 64, "weights").kernel_pointer()), "");
}

/// Runs until the host lets it go on.
struct GateCode final : LaunchCode {
  DeviceFunction function() const override { return {"gate", 1}; }
  bool take_counts(void*, const StepCounts&) const override { return true; }
  size_t scratch_bytes(int32_t) const override { return 0; }
  int64_t tiles(const void*) const override { return 1; }
  void run(const void*, int64_t, std::byte*) const override { open.wait(false); }
  std::vector<TensorMap> tensor_maps(const void*, int32_t) const override { return maps; }
  mutable std::atomic<bool> open{false};
  std::vector<TensorMap> maps;
};

TEST(ShadowDevice, RunsBehindTheHostsBack) {
  const auto code = std::make_shared<const GateCode>();
  const auto device = make_shadow();
  const DeviceAddress address = device->allocate(4, "memory");
  const auto gate = device->prepare({code, {}, nullptr, 1});
  int32_t source = 1, result = 0;
  device->launch(*gate);
  device->copy_to_device(address, &source, 4);
  device->copy_to_host(&result, address, 4);
  source = 2;  // the copy is still behind the gate
  code->open = true;
  code->open.notify_all();
  device->wait(device->record_event());
  EXPECT_EQ(result, 2);
  device->release(address);
}

TEST(ShadowDevice, FillsWhatIsDiscardedInTheQueuesOrder) {
  const auto device = make_shadow();
  const DeviceAddress address = device->allocate(1000, "memory");
  std::array<float, 250> before{}, after{};
  device->copy_to_host(before.data(), address, 1000);
  device->discard(address);
  device->copy_to_host(after.data(), address, 1000);
  device->wait(device->record_event());
  EXPECT_TRUE(std::ranges::all_of(before, [](float x) { return x == 0; }));
  EXPECT_TRUE(std::ranges::all_of(after, [](float x) { return std::isnan(x); }));
  device->release(address);
}

TEST(ShadowDevice, RefusesOperandsThatItCannotLoadInBoxes) {
  const auto device = make_shadow();
  const DeviceAddress address = device->allocate(1 << 16, "memory");
  const auto refusal_of = [&](const TensorMap& map) -> std::string {
    const auto code = std::make_shared<GateCode>();
    code->maps = {map};
    try {
      device->prepare({code, {}, nullptr, 1});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::byte* base = address.kernel_pointer();
  EXPECT_EQ(refusal_of(rows_map("weight", base + 16, DType::bf16, 100, 60, 64)), "");
  EXPECT_NE(refusal_of(rows_map("weight", base + 8, DType::bf16, 100, 60, 64)).find("operand 'weight'"),
            std::string::npos);
  EXPECT_NE(refusal_of(rows_map("weight", base, DType::bf16, 100, 60, 60)), "");
  EXPECT_EQ(refusal_of(rows_map("weight", base, DType::bf16, 512, 64, 64)), "");
  EXPECT_NE(refusal_of(rows_map("weight", base, DType::bf16, 513, 64, 64)), "");
  EXPECT_NE(refusal_of(rows_map("weight", base - 64, DType::bf16, 1, 32, 64)), "");
  device->release(address);
}

TEST(ShadowDevice, RunsFunctionsOfItsCodeAlone) {
  const auto refusal_of = [](std::string_view text) -> std::string {
    const auto device = make_shadow_device();
    try {
      device->load_code(bytes_of(text));
      device->prepare({std::make_shared<const GateCode>(), {}, nullptr, 1});
    } catch (const Error& error) {
      return error.fault();
    }
    return "";
  };
  EXPECT_EQ(refusal_of("add 1\ngate 1\n"), "");
  EXPECT_EQ(refusal_of("add 1\ngate 2\n"), "has no function 'gate' of ABI 1");
  EXPECT_EQ(refusal_of(""), "has no function 'gate' of ABI 1");
  for (const char* text : {"gate", "gate 1", "gate\n", "gate one\n", "gate 1 \n", "\n"}) {
    EXPECT_NE(refusal_of(text).find("is no function"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace incipit
