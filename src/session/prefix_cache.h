// Finds pages that an earlier sequence has filled with the tokens a new one begins with. Integers only.
//
// A tree: a node stands for a page's worth of tokens behind those of its parent, and names the pages, one a cache
// group, that hold their keys and values. Keys are the tokens themselves, so that nothing is taken for something else.
// A root stands for a salt: what was computed under one salt is never found under another. One cache belongs to one
// engine.
//
// A node may lack the page of a group: it was behind the window when its sequence got there, or somebody needed it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "session/page_pool.h"

namespace incipit {

class PrefixCache {
 public:
  using Node = int32_t;
  static constexpr Node none = -1;

  /// `windows` and `pools`: one a group, window 0 for none; the pools outlive this.
  PrefixCache(int32_t page_tokens, std::vector<int32_t> windows, std::vector<PagePool>& pools);

  /// Where a text may start: its first `tokens` tokens are in pages of `path` and, when the last page is only partly of
  /// use, in those of `partial`: that one has to be copied, as its sequence may write on.
  struct Match {
    int32_t tokens = 0;
    std::vector<Node> path;
    Node partial = none;
  };
  /// The longest beginning of `tokens` of which every page is there that a query behind it sees.
  Match find(uint64_t salt, std::span<const int32_t> tokens) const;

  /// The text that is known, though not all of its pages may be there, and has most in common with `tokens`.
  struct Nearest {
    int32_t common = 0;    // tokens
    int32_t next = -1;     // what it goes on with; −1: it ends, or is not known any more
    bool evicted = false;  // its last pages that are in common were given to others
    int32_t of_other_salt = 0;
  };
  /// From the first call on, what is evicted is remembered for these answers.
  Nearest nearest(uint64_t salt, std::span<const int32_t> tokens);

  /// The node of a salt's empty text.
  Node root(uint64_t salt);
  /// The node that stands for `tokens` (a page's, or fewer when nothing follows) behind `parent`, new or known. Pages
  /// it lacks are taken from `pages` (−1: none) and kept. A page with fewer tokens that something longer holds is not
  /// added: none.
  Node insert(Node parent, std::span<const int32_t> tokens, std::span<const int32_t> pages);
  int32_t page(Node node, size_t group) const { return nodes_[static_cast<size_t>(node)].pages[group]; }
  /// A sequence goes on behind the node: it stays, whatever pages it loses.
  void enter(Node node);
  void leave(Node node);

  /// A text whose pages are known, and the salt that it is under.
  struct Text {
    uint64_t salt = 0;
    std::vector<int32_t> tokens;
  };
  /// What sequences are at, and then what was let go last: texts of which none begins another, `most_tokens` in all.
  std::vector<Text> latest(size_t most_tokens) const;
  /// Drops all that nobody holds.
  void clear();

  /// Gives the group's longest idle page back to its pool. False when there is none.
  bool evict(size_t group);
  size_t nodes() const { return nodes_.size() - unused_.size(); }

 private:
  // Children in lexicographic order of their tokens: what shares most with a text is next to where it would be.
  using Children = std::map<std::vector<int32_t>, Node>;
  struct Entry {
    Node parent = none;
    uint64_t salt = 0;  // of a root
    Children children;
    Children::const_iterator self;  // among the parent's children; not of a root
    std::vector<int32_t> pages;
    int32_t users = 0;
  };
  /// Digests of full pages, with all before them, that were evicted: the last ones.
  struct Evicted {
    std::set<uint64_t> digests;
    std::deque<uint64_t> order;
  };
  std::pair<Node, size_t> descend(Node root, std::span<const int32_t> tokens) const;
  Nearest nearest_below(Node root, std::span<const int32_t> tokens) const;
  uint64_t digest_of(Node node) const;
  Text text_of(Node node) const;
  void remember_evicted(Node node);
  Entry& at(Node node) { return nodes_[static_cast<size_t>(node)]; }
  const Entry& at(Node node) const { return nodes_[static_cast<size_t>(node)]; }
  Node add();
  void adopt(Node node, std::span<const int32_t> pages);
  void lose(Node node, size_t group);
  void prune(Node node);
  bool sees_all(const std::vector<Node>& path, size_t count, int32_t tokens) const;
  bool has_page(Node node, bool with_windows) const;

  int32_t page_tokens_;
  std::vector<int32_t> windows_;
  std::vector<PagePool>& pools_;
  std::vector<std::vector<Node>> owners_;  // [group][page]
  std::vector<Entry> nodes_;
  std::vector<Node> unused_;
  std::map<uint64_t, Node> roots_;
  std::optional<Evicted> evicted_;  // where somebody asks
};

}  // namespace incipit
