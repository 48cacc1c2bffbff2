#include "session/page_pool.h"

#include "base/error.h"

namespace incipit {

PagePool::PagePool(int32_t pages) : holders_(static_cast<size_t>(pages), 0) {
  free_.reserve(holders_.size());
  for (int32_t page = pages; page-- > 0;) free_.push_back(page);  // taken from the back: the lowest first
}

int32_t PagePool::take() {
  if (free_.empty()) return -1;
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::share(int32_t page) {
  INCIPIT_ASSERT(holders(page) > 0);
  ++holders_[static_cast<size_t>(page)];
}

void PagePool::release(int32_t page) {
  INCIPIT_ASSERT(holders(page) > 0);
  if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

int32_t PagePool::holders(int32_t page) const {
  INCIPIT_ASSERT(page >= 0 && page < total_pages());
  return holders_[static_cast<size_t>(page)];
}

}  // namespace incipit
