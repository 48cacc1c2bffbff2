#include "session/page_pool.h"

#include "base/error.h"

namespace incipit {

PagePool::PagePool(int32_t pages) : pages_(static_cast<size_t>(pages)) {
  free_.reserve(pages_.size());
  for (int32_t page = pages; page-- > 0;) free_.push_back(page);  // taken from the back: the lowest first
}

PagePool::Page& PagePool::at(int32_t page) {
  INCIPIT_ASSERT(page >= 0 && page < total_pages());
  return pages_[static_cast<size_t>(page)];
}

int32_t PagePool::take() {
  if (free_.empty()) return -1;
  const int32_t page = free_.back();
  free_.pop_back();
  at(page).holders = 1;
  return page;
}

void PagePool::share(int32_t page) {
  Page& shared = at(page);
  INCIPIT_ASSERT(shared.holders > 0 || shared.kept);
  if (shared.holders++ == 0) idle_.erase(shared.idle);
}

void PagePool::release(int32_t page) {
  Page& released = at(page);
  INCIPIT_ASSERT(released.holders > 0);
  if (--released.holders > 0) return;
  if (released.kept) {
    released.idle = idle_.insert(idle_.end(), page);
  } else {
    free_.push_back(page);
  }
}

void PagePool::keep(int32_t page) {
  Page& kept = at(page);
  INCIPIT_ASSERT(kept.holders > 0 && !kept.kept);
  kept.kept = true;
}

void PagePool::drop(int32_t page) {
  Page& dropped = at(page);
  INCIPIT_ASSERT(dropped.kept);
  dropped.kept = false;
  if (dropped.holders > 0) return;
  idle_.erase(dropped.idle);
  free_.push_back(page);
}

int32_t PagePool::holders(int32_t page) const {
  INCIPIT_ASSERT(page >= 0 && page < total_pages());
  return pages_[static_cast<size_t>(page)].holders;
}

bool PagePool::kept(int32_t page) const {
  INCIPIT_ASSERT(page >= 0 && page < total_pages());
  return pages_[static_cast<size_t>(page)].kept;
}

}  // namespace incipit
