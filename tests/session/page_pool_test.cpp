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

TEST(PagePoolDeathTest, ReleasingAFreePageIsABug) {
  PagePool pool(1);
  EXPECT_DEATH(pool.release(0), "internal error");
}

}  // namespace
}  // namespace incipit
