// Which pages of one cache group a sequence holds. Integers only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace incipit {

/// Entry i holds positions [i · page_tokens, (i + 1) · page_tokens); −1 stands for pages behind the window, which were
/// given back.
class PageTable {
 public:
  PageTable(int32_t page_tokens, int32_t window) : page_tokens_(page_tokens), window_(window) {}

  std::span<const int32_t> pages() const { return pages_; }
  int32_t size() const { return static_cast<int32_t>(pages_.size()); }
  bool has_window() const { return window_ > 0; }
  int32_t pages_for(int32_t tokens) const { return tokens / page_tokens_ + (tokens % page_tokens_ != 0); }
  /// The first page that a query at `position` sees.
  int32_t first_seen(int32_t position) const {
    return window_ > 0 && position >= window_ ? (position - window_ + 1) / page_tokens_ : 0;
  }

  void append(int32_t page) { pages_.push_back(page); }
  void replace(int32_t index, int32_t page) { pages_[static_cast<size_t>(index)] = page; }
  int32_t page(int32_t index) const { return pages_[static_cast<size_t>(index)]; }
  /// Calls give_back(page) for the pages that no query from `position` on sees; oldest first.
  template <typename GiveBack>
  void leave_behind(int32_t position, GiveBack&& give_back) {
    for (const int32_t end = std::min(first_seen(position), size()); first_held_ < end; ++first_held_) {
      int32_t& page = pages_[static_cast<size_t>(first_held_)];
      if (page >= 0) give_back(page);
      page = -1;
    }
  }
  /// Empties the table; give_back(page) for all that is held, newest first.
  template <typename GiveBack>
  void clear(GiveBack&& give_back) {
    for (size_t i = pages_.size(); i-- > 0;) {
      if (pages_[i] >= 0) give_back(pages_[i]);
    }
    pages_.clear();
    first_held_ = 0;
  }

 private:
  int32_t page_tokens_, window_;
  int32_t first_held_ = 0;  // all before it are −1
  std::vector<int32_t> pages_;
};

}  // namespace incipit
