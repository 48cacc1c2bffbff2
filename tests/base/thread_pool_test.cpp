#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "base/cpu.h"

namespace incipit {
namespace {

// Plain integers and not atomics: a tile run twice at once, or a write not yet visible, is a race that the
// thread sanitizer reports.
void expect_each_tile_once(ThreadPool& pool, int64_t tiles) {
  std::vector<int> runs(static_cast<size_t>(tiles), 0);
  pool.parallel_for(tiles, [&](int64_t tile, int worker) {
    ASSERT_GE(worker, 0);
    ASSERT_LT(worker, pool.threads());
    ++runs[static_cast<size_t>(tile)];
  });
  for (int count : runs) ASSERT_EQ(count, 1);
}

TEST(ThreadPoolTest, EachTileOnce) {
  for (int threads : {1, 2, 3, 8, 33}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t tiles : {0, 1, 2, 3, 7, 64, 1000}) expect_each_tile_once(pool, tiles);
  }
}

TEST(ThreadPoolTest, DefaultUsesTheAvailableCores) {
  EXPECT_EQ(ThreadPool().threads(), available_cores());
  EXPECT_EQ(ThreadPool(-3).threads(), available_cores());
}

TEST(ThreadPoolTest, NoTileRunsNothing) {
  ThreadPool pool(3);
  pool.parallel_for(0, [](int64_t, int) { FAIL(); });
  pool.parallel_for(-5, [](int64_t, int) { FAIL(); });
}

TEST(ThreadPoolTest, OneTileRunsInTheCaller) {
  ThreadPool pool(4);
  const std::thread::id caller = std::this_thread::get_id();
  pool.parallel_for(1, [caller](int64_t tile, int worker) {
    EXPECT_EQ(tile, 0);
    EXPECT_EQ(worker, 0);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
}

TEST(ThreadPoolTest, AWorkerNumberIsOneThread) {
  ThreadPool pool(4);
  std::vector<std::vector<std::thread::id>> seen(4);
  for (int loop = 0; loop < 100; ++loop) {
    pool.parallel_for(
        16, [&](int64_t, int worker) { seen[static_cast<size_t>(worker)].push_back(std::this_thread::get_id()); });
  }
  for (const auto& ids : seen) {
    for (const std::thread::id& id : ids) EXPECT_EQ(id, ids.front());
  }
  for (const std::thread::id& id : seen[0]) EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(ThreadPoolTest, WorkIsShared) {
  ThreadPool pool(2);
  // Each tile waits for the other: ends only when two threads run them.
  std::atomic<int> arrived{0};
  pool.parallel_for(2, [&](int64_t, int) {
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 2);
}

// Loop after loop, each reading what the one before has written.
TEST(ThreadPoolTest, ManyLoopsInARow) {
  for (int threads : {2, 5}) {
    ThreadPool pool(threads);
    constexpr int64_t tiles = 13;
    std::vector<int64_t> values(tiles, 0);
    constexpr int64_t loops = 5000;
    for (int64_t loop = 0; loop < loops; ++loop) {
      pool.parallel_for(tiles, [&](int64_t tile, int) {
        const auto index = static_cast<size_t>(tile);
        values[index] = values[index] + (values[index] == loop ? 1 : 1000000);
      });
    }
    for (int64_t value : values) ASSERT_EQ(value, loops);
  }
}

TEST(ThreadPoolTest, WakesAfterSleep) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::microseconds(37 * loop));  // on both sides of the spinning time
    expect_each_tile_once(pool, 50);
  }
}

TEST(ThreadPoolTest, CallerSleepsForASlowTile) {
  ThreadPool pool(2);
  std::atomic<int> finished{0};
  pool.parallel_for(2, [&](int64_t, int worker) {
    if (worker != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    finished.fetch_add(1);
  });
  EXPECT_EQ(finished.load(), 2);
}

TEST(ThreadPoolTest, StressWithMoreThreadsThanCores) {
  ThreadPool pool(available_cores() * 4 + 3);
  uint64_t random = 1;
  for (int loop = 0; loop < 500; ++loop) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    expect_each_tile_once(pool, static_cast<int64_t>((random >> 33) % 200));
  }
}

TEST(ThreadPoolTest, PoolsComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(4);
    if (i % 2 == 0) expect_each_tile_once(pool, 9);
  }
}

TEST(ThreadPoolTest, TwoPoolsAtOnce) {
  std::thread other([] {
    ThreadPool pool(3);
    for (int loop = 0; loop < 200; ++loop) expect_each_tile_once(pool, 20);
  });
  ThreadPool pool(3);
  for (int loop = 0; loop < 200; ++loop) expect_each_tile_once(pool, 20);
  other.join();
}

// The core that a worker was stolen from must delay its tile only: the others take the rest.
TEST(ThreadPoolTest, AStalledWorkerDelaysOneTile) {
  ThreadPool pool(2);
  std::atomic<int> stalled_tiles{0};
  std::atomic<int> other_tiles{0};
  pool.parallel_for(100, [&](int64_t, int worker) {
    if (worker == 1) {
      stalled_tiles.fetch_add(1);
      // Held until the caller has done everything else.
      while (other_tiles.load() + stalled_tiles.load() < 100) std::this_thread::yield();
    } else {
      // Leaves the worker the time to claim its first tile.
      while (stalled_tiles.load() == 0) std::this_thread::yield();
      other_tiles.fetch_add(1);
    }
  });
  EXPECT_EQ(stalled_tiles.load(), 1);
  EXPECT_EQ(other_tiles.load(), 99);
}

}  // namespace
}  // namespace incipit
