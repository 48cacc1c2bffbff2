// Page numbers of one cache group: who holds which, and how many are free. Integers only.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <vector>

namespace incipit {

/// Pages are shared by count: a page returns to the free list when its last holder lets go. A prefix cache may keep a
/// page beyond that: then the page is *idle*, in the order in which such pages were let go, until somebody shares it
/// again or the cache drops it.
class PagePool {
 public:
  explicit PagePool(int32_t pages);
  std::span<const int32_t> free() const { return free_; }
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t idle_pages() const { return static_cast<int32_t>(idle_.size()); }
  int32_t total_pages() const { return static_cast<int32_t>(pages_.size()); }
  /// A page with one holder, or -1 when none is free.
  int32_t take();
  /// Of a held or an idle page.
  void share(int32_t page);
  void release(int32_t page);
  /// The page, which somebody holds, stays when its last holder lets go, until drop().
  void keep(int32_t page);
  void drop(int32_t page);
  /// The page that has been idle for longest, or -1.
  int32_t oldest_idle() const { return idle_.empty() ? -1 : idle_.front(); }
  /// Those that are idle, longest first.
  const std::list<int32_t>& idle() const { return idle_; }
  /// Without the cache that keeps it.
  int32_t holders(int32_t page) const;
  bool kept(int32_t page) const;

 private:
  struct Page {
    int32_t holders = 0;
    bool kept = false;
    std::list<int32_t>::iterator idle;  // where holders is 0 and kept
  };
  Page& at(int32_t page);
  std::vector<int32_t> free_;
  std::list<int32_t> idle_;  // longest first
  std::vector<Page> pages_;
};

}  // namespace incipit
