#include "device/memory_ahead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "device/host_memory.h"

namespace incipit {
namespace {

/// Pages of the range that the system has given, by its own account.
size_t resident_pages(const HostMemory& memory) {
  std::vector<unsigned char> pages((memory.size() + 4095) / 4096);
  EXPECT_EQ(::mincore(memory.data(), memory.size(), pages.data()), 0);
  return static_cast<size_t>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

/// Whether this system can be asked at all.
bool is_asked() {
  HostMemory page(4096, "a test");
  return ::madvise(page.data(), page.size(), MADV_POPULATE_WRITE) == 0;
}

constexpr auto long_enough = std::chrono::minutes(5);

TEST(MemoryAhead, IsThereBeforeItIsTouched) {
  if (!is_asked()) GTEST_SKIP() << "this system has no MADV_POPULATE_WRITE";
  HostMemory one(size_t{9} << 20, "a test"), other(123456, "a test");
  EXPECT_EQ(resident_pages(one), 0u);
  one.data()[5] = std::byte{7};
  MemoryAhead ahead;
  ahead.add(one.data(), one.size());
  ahead.add(other.data(), other.size());
  EXPECT_TRUE(ahead.wait(long_enough));
  EXPECT_EQ(resident_pages(one), (size_t{9} << 20) / 4096);
  EXPECT_EQ(resident_pages(other), (123456u + 4095) / 4096);
  EXPECT_EQ(one.data()[5], std::byte{7});
  EXPECT_EQ(one.data()[6], std::byte{0});
}

TEST(MemoryAhead, RestsWhileThereIsWork) {
  if (!is_asked()) GTEST_SKIP() << "this system has no MADV_POPULATE_WRITE";
  const HostMemory memory(size_t{9} << 20, "a test");
  MemoryAhead ahead;
  ahead.begin_work();
  ahead.add(memory.data(), memory.size());
  EXPECT_FALSE(ahead.wait(std::chrono::milliseconds(50)));
  EXPECT_EQ(resident_pages(memory), 0u);
  ahead.end_work();
  EXPECT_TRUE(ahead.wait(long_enough));
  EXPECT_EQ(resident_pages(memory), memory.size() / 4096);
}

TEST(MemoryAhead, LetsGoOfWhatGoesBack) {
  MemoryAhead ahead;
  for (int i = 0; i < 200; ++i) {
    HostMemory memory(size_t{3} << 20, "a test");
    ahead.add(memory.data(), memory.size());
    ahead.remove(memory.data());
  }
  ahead.remove(nullptr);
  EXPECT_TRUE(ahead.wait(long_enough));
}

TEST(MemoryAhead, AsksForAQuarterOfTheMachineAtMost) {
  MemoryAhead ahead;
  const HostMemory memory = HostMemory::inaccessible(4096);  // what is asked for there is refused
  ahead.add(memory.data(), memory.size());
  EXPECT_TRUE(ahead.wait(long_enough));
  ahead.add(memory.data(), size_t{1} << 60);
  ahead.remove(memory.data());
  ahead.add(memory.data(), 4096);  // beyond the quarter: nothing
  EXPECT_TRUE(ahead.wait(long_enough));
}

}  // namespace
}  // namespace incipit
