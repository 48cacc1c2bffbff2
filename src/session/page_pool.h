// Page numbers of one cache group: who holds which, and how many are free. Integers only.
#pragma once

#include <cstdint>
#include <vector>

namespace incipit {

/// Pages are shared by count: a page returns to the free list when its last holder lets go.
class PagePool {
 public:
  explicit PagePool(int32_t pages);
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t total_pages() const { return static_cast<int32_t>(holders_.size()); }
  /// A page with one holder, or -1 when none is free.
  int32_t take();
  void share(int32_t page);
  void release(int32_t page);
  int32_t holders(int32_t page) const;

 private:
  std::vector<int32_t> free_;
  std::vector<int32_t> holders_;
};

}  // namespace incipit
