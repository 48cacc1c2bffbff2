#include "session/page_pool.h"

#include <gtest/gtest.h>

namespace incipit {
namespace {

TEST(PagePool, GivesEveryPageOnceAndThenNone) {
  PagePool pool(3);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), -1);
  EXPECT_EQ(pool.free_pages(), 0);
  pool.release(1);
  EXPECT_EQ(pool.take(), 1);
}

TEST(PagePool, KeepsASharedPageUntilItsLastHolderLetsGo) {
  PagePool pool(1);
  const int32_t page = pool.take();
  pool.share(page);
  EXPECT_EQ(pool.holders(page), 2);
  pool.release(page);
  EXPECT_EQ(pool.free_pages(), 0);
  pool.release(page);
  EXPECT_EQ(pool.free_pages(), 1);
}

TEST(PagePool, AKeptPageIsIdleUntilItIsSharedOrDropped) {
  PagePool pool(2);
  const int32_t first = pool.take(), second = pool.take();
  pool.keep(first);
  pool.keep(second);
  pool.release(second);
  pool.release(first);
  EXPECT_EQ(pool.free_pages(), 0);
  EXPECT_EQ(pool.idle_pages(), 2);
  EXPECT_EQ(pool.oldest_idle(), second);
  pool.share(second);
  EXPECT_EQ(pool.oldest_idle(), first);
  pool.drop(second);
  EXPECT_EQ(pool.holders(second), 1) << "it is still held";
  pool.release(second);
  pool.drop(first);
  EXPECT_EQ(pool.free_pages(), 2);
  EXPECT_EQ(pool.oldest_idle(), -1);
}

TEST(PagePoolDeathTest, ReleasingAFreePageIsABug) {
  PagePool pool(1);
  EXPECT_DEATH(pool.release(0), "internal error");
}

}  // namespace
}  // namespace incipit
