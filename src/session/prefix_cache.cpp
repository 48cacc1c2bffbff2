#include "session/prefix_cache.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "base/error.h"

namespace incipit {
namespace {

size_t common_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<int64_t>(most), b.begin()).first -
                             a.begin());
}

/// 64 bits of a text, page by page.
uint64_t digest_behind(uint64_t digest, std::span<const int32_t> page) {
  for (const int32_t token : page) {
    digest = (digest ^ static_cast<uint64_t>(token)) * 0x9e3779b97f4a7c15u;
    digest ^= digest >> 32;
  }
  return digest;
}

}  // namespace

PrefixCache::PrefixCache(int32_t page_tokens, std::vector<int32_t> windows, std::vector<PagePool>& pools)
    : page_tokens_(page_tokens), windows_(std::move(windows)), pools_(pools) {
  for (const PagePool& pool : pools_) owners_.emplace_back(static_cast<size_t>(pool.total_pages()), none);
}

PrefixCache::Node PrefixCache::add() {
  Node node = static_cast<Node>(nodes_.size());
  if (unused_.empty()) {
    nodes_.emplace_back();
  } else {
    node = unused_.back();
    unused_.pop_back();
  }
  at(node) = {};
  at(node).pages.assign(pools_.size(), -1);
  return node;
}

PrefixCache::Node PrefixCache::root(uint64_t salt) {
  const auto known = roots_.find(salt);
  if (known != roots_.end()) return known->second;
  const Node node = add();
  at(node).salt = salt;
  roots_.emplace(salt, node);
  return node;
}

void PrefixCache::adopt(Node node, std::span<const int32_t> pages) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (at(node).pages[g] >= 0 || pages[g] < 0 || pools_[g].kept(pages[g])) continue;
    at(node).pages[g] = pages[g];
    owners_[g][static_cast<size_t>(pages[g])] = node;
    pools_[g].keep(pages[g]);
  }
}

PrefixCache::Node PrefixCache::insert(Node parent, std::span<const int32_t> tokens, std::span<const int32_t> pages) {
  INCIPIT_ASSERT(!tokens.empty() && tokens.size() <= static_cast<size_t>(page_tokens_));
  std::vector<int32_t> key(tokens.begin(), tokens.end());
  Children& children = at(parent).children;
  auto next = children.lower_bound(key);
  const bool known = next != children.end() && next->first == key;
  if (!known && next != children.end() && common_length(next->first, tokens) == tokens.size()) return none;
  if (!known) {
    const Node node = add();  // may move the entries
    Children& family = at(parent).children;
    next = family.emplace(std::move(key), node).first;
    at(node).parent = parent;
    at(node).self = next;
    // What this page holds too need not be found any more.
    while (next != family.begin()) {
      const auto before = std::prev(next);
      if (common_length(before->first, tokens) != before->first.size()) break;
      const Node shorter = before->second;
      INCIPIT_ASSERT(at(shorter).users == 0 && at(shorter).children.empty());
      for (size_t g = 0; g < pools_.size(); ++g) lose(shorter, g);
      prune(shorter);
    }
  }
  const Node node = next->second;
  adopt(node, pages);
  return node;
}

void PrefixCache::enter(Node node) { ++at(node).users; }

void PrefixCache::leave(Node node) {
  INCIPIT_ASSERT(at(node).users > 0);
  --at(node).users;
  prune(node);
}

void PrefixCache::lose(Node node, size_t group) {
  const int32_t page = std::exchange(at(node).pages[group], -1);
  if (page < 0) return;
  owners_[group][static_cast<size_t>(page)] = none;
  pools_[group].drop(page);
}

/// Removes nodes that stand for nothing any more, from this one upwards.
void PrefixCache::prune(Node node) {
  while (node != none) {
    Entry& entry = at(node);
    const bool has_pages = std::ranges::any_of(entry.pages, [](int32_t page) { return page >= 0; });
    if (has_pages || entry.users > 0 || !entry.children.empty()) return;
    const Node parent = entry.parent;
    if (parent == none) {
      roots_.erase(entry.salt);
    } else {
      if (evicted_) remember_evicted(node);
      at(parent).children.erase(entry.self);
    }
    unused_.push_back(node);
    node = parent;
  }
}

bool PrefixCache::evict(size_t group) {
  const int32_t page = pools_[group].oldest_idle();
  if (page < 0) return false;
  const Node node = owners_[group][static_cast<size_t>(page)];
  lose(node, group);
  prune(node);
  return true;
}

void PrefixCache::clear() {
  for (size_t g = 0; g < pools_.size(); ++g) {
    while (evict(g)) {
    }
  }
}

PrefixCache::Text PrefixCache::text_of(Node node) const {
  std::vector<Node> path;
  for (; at(node).parent != none; node = at(node).parent) path.push_back(node);
  Text text{at(node).salt, {}};
  for (const Node one : std::views::reverse(path)) {
    text.tokens.insert(text.tokens.end(), at(one).self->first.begin(), at(one).self->first.end());
  }
  return text;
}

std::vector<PrefixCache::Text> PrefixCache::latest(size_t most_tokens) const {
  std::vector<Text> texts;
  if (pools_.empty()) return texts;
  size_t told = 0;
  const auto tell = [&](Node node) {
    if (node == none || at(node).parent == none || !at(node).children.empty()) return true;
    Text text = text_of(node);
    if (told + text.tokens.size() > most_tokens) return false;
    told += text.tokens.size();
    texts.push_back(std::move(text));
    return true;
  };
  for (size_t node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].users > 0 && !tell(static_cast<Node>(node))) return texts;
  }
  for (const int32_t page : std::views::reverse(pools_.front().idle())) {
    const Node node = owners_.front()[static_cast<size_t>(page)];
    if (node != none && at(node).users == 0 && !tell(node)) break;
  }
  return texts;
}

/// Whether the node has the pages of all groups, or of those without a window.
bool PrefixCache::has_page(Node node, bool with_windows) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    if ((with_windows || windows_[g] == 0) && at(node).pages[g] < 0) return false;
  }
  return true;
}

/// Whether a query at position `tokens` finds what it sees in the first `count` nodes.
bool PrefixCache::sees_all(const std::vector<Node>& path, size_t count, int32_t tokens) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int32_t first = windows_[g] > 0 ? std::max(0, tokens - windows_[g] + 1) / page_tokens_ : 0;
    for (size_t i = count; i-- > static_cast<size_t>(first);) {
      if (at(path[i]).pages[g] < 0) return false;
    }
  }
  return true;
}

PrefixCache::Match PrefixCache::find(uint64_t salt, std::span<const int32_t> tokens) const {
  Match match;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return match;
  const auto width = static_cast<size_t>(page_tokens_);
  Node node = root->second;
  size_t done = 0;
  while (done + width <= tokens.size()) {
    const auto page = tokens.subspan(done, width);
    const auto child = at(node).children.find({page.begin(), page.end()});
    if (child == at(node).children.end() || !has_page(child->second, false)) break;
    node = child->second;
    match.path.push_back(node);
    done += width;
  }
  // The page that begins with what is left, or with as much of it as possible.
  const auto rest = tokens.subspan(done, std::min(width, tokens.size() - done));
  if (const Children& children = at(node).children; !rest.empty() && !children.empty()) {
    auto next = children.lower_bound({rest.begin(), rest.end()});
    size_t most = 0;
    Node best = none;
    const auto consider = [&](const auto& child) {
      const size_t length = common_length(child.first, rest);
      if (length > most && has_page(child.second, true)) most = length, best = child.second;
    };
    if (next != children.end()) consider(*next);
    if (next != children.begin()) consider(*std::prev(next));
    const auto length = static_cast<int32_t>(done + most);
    if (best != none && sees_all(match.path, match.path.size(), length)) {
      match.tokens = length;
      match.partial = best;
      return match;
    }
  }
  const auto length = [&] { return static_cast<int32_t>(match.path.size() * width); };
  while (!sees_all(match.path, match.path.size(), length())) match.path.pop_back();
  match.tokens = length();
  return match;
}

/// Along full pages, whether they are there or not: the last node, and tokens up to it.
std::pair<PrefixCache::Node, size_t> PrefixCache::descend(Node node, std::span<const int32_t> tokens) const {
  const auto width = static_cast<size_t>(page_tokens_);
  size_t done = 0;
  while (done + width <= tokens.size()) {
    const auto page = tokens.subspan(done, width);
    const auto child = at(node).children.find({page.begin(), page.end()});
    if (child == at(node).children.end()) break;
    node = child->second;
    done += width;
  }
  return {node, done};
}

PrefixCache::Nearest PrefixCache::nearest_below(Node root, std::span<const int32_t> tokens) const {
  const auto [node, done] = descend(root, tokens);
  Nearest nearest{static_cast<int32_t>(done)};
  nearest.evicted = node != root && !has_page(node, true);
  const auto rest = tokens.subspan(done);
  const Children& children = at(node).children;
  if (rest.empty() || children.empty()) return nearest;
  const auto consider = [&](const auto& child) {
    const size_t length = common_length(child.first, rest);
    const auto common = static_cast<int32_t>(done + length);
    if (common < nearest.common || (common == nearest.common && nearest.next >= 0)) return;
    nearest.common = common;
    nearest.next = length < child.first.size() ? child.first[length] : -1;
    if (length > 0) nearest.evicted = !has_page(child.second, true);
  };
  const auto next = children.lower_bound({rest.begin(), rest.end()});
  if (next != children.end()) consider(*next);
  if (next != children.begin()) consider(*std::prev(next));
  return nearest;
}

PrefixCache::Nearest PrefixCache::nearest(uint64_t salt, std::span<const int32_t> tokens) {
  if (!evicted_) evicted_.emplace();
  Nearest nearest;
  int32_t of_other_salt = 0;
  for (const auto& [own, root] : roots_) {
    const Nearest below = nearest_below(root, tokens);
    if (own == salt) {
      nearest = below;
    } else {
      of_other_salt = std::max(of_other_salt, below.common);
    }
  }
  nearest.of_other_salt = of_other_salt;
  // Pages that have left the tree.
  const auto width = static_cast<size_t>(page_tokens_);
  uint64_t digest = salt;
  for (size_t end = width; end <= tokens.size(); end += width) {
    digest = digest_behind(digest, tokens.subspan(end - width, width));
    if (static_cast<int32_t>(end) <= nearest.common) continue;
    if (!evicted_->digests.contains(digest)) break;
    nearest = {static_cast<int32_t>(end), -1, true, of_other_salt};
  }
  return nearest;
}

uint64_t PrefixCache::digest_of(Node node) const {
  const Entry& entry = at(node);
  return entry.parent == none ? entry.salt : digest_behind(digest_of(entry.parent), entry.self->first);
}

void PrefixCache::remember_evicted(Node node) {
  constexpr size_t most = size_t{1} << 16;
  if (at(node).self->first.size() < static_cast<size_t>(page_tokens_)) return;
  const uint64_t digest = digest_of(node);
  if (!evicted_->digests.insert(digest).second) return;
  evicted_->order.push_back(digest);
  if (evicted_->order.size() <= most) return;
  evicted_->digests.erase(evicted_->order.front());
  evicted_->order.pop_front();
}

}  // namespace incipit
