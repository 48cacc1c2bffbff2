#include "session/step_costs.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace incipit {
namespace {

// Where nothing is measured: reading the weights takes as long as computing so many tokens.
constexpr int64_t tokens_of_weights = 32;
constexpr int64_t pace_slowness = 8, cell_slowness = 16;   // an error's eighth is corrected at once
constexpr int64_t measured_bound = 4, guessed_bound = 16;  // of what predictions are multiplied by, and of its inverse

}  // namespace

StepCosts::StepCosts(std::vector<int32_t> tokens, int32_t most_sequences, int32_t most_context)
    : tokens_(std::move(tokens)), contexts_{0}, most_sequences_(most_sequences), most_context_(most_context) {
  INCIPIT_ASSERT(!tokens_.empty() && tokens_[0] >= 1 && most_sequences >= 1 && most_context >= 1);
  // Sequences that decode together read a context each. So many tokens are the most that are as many sequences: between
  // fewer and more, steps with a token of each would be taken for steps with fewer contexts.
  const auto place = std::ranges::lower_bound(tokens_, most_sequences);
  if (place != tokens_.end() && *place != most_sequences) tokens_.insert(place, most_sequences);
  if (most_context > middle_context) contexts_.push_back(middle_context);
  contexts_.push_back(most_context);
  nodes_.resize(tokens_.size() * 2 * contexts_.size());
  for (size_t t = 0; t < tokens_.size(); ++t) {
    INCIPIT_ASSERT(t == 0 || tokens_[t] > tokens_[t - 1]);
    for (size_t s = 0; s < 2; ++s) {
      const int32_t sequences = sequences_of(t, s);
      const int32_t chunk = (tokens_[t] + sequences - 1) / sequences;
      for (size_t c = 0; c < contexts_.size(); ++c) {
        // A chunk behind the most tokens ends beyond them: it stands where it can.
        const int32_t context = std::min(contexts_[c], most_context - chunk);
        const bool possible = context >= 0 && context >= contexts_[c] / 2;
        const bool twice = (s == 1 && sequences == 1) || (c > 0 && context <= contexts_[c - 1]);
        if (possible && !twice) nodes_[index(t, s, c)].cell = {tokens_[t], sequences, context};
      }
    }
  }
}

int32_t StepCosts::sequences_of(size_t token, size_t sequence) const {
  return sequence == 0 ? 1 : std::min(tokens_[token], most_sequences_);
}

std::vector<StepCosts::Cell> StepCosts::cells() const {
  std::vector<Cell> cells;
  for (const Node& node : nodes_) {
    if (node.cell.tokens > 0) cells.push_back(node.cell);
  }
  std::ranges::stable_sort(cells, {}, [](const Cell& cell) { return std::pair(cell.tokens, cell.context); });
  return cells;
}

std::optional<int64_t> StepCosts::measured(const Cell& cell) const {
  const auto found = std::ranges::find(nodes_, cell, &Node::cell);
  if (found == nodes_.end() || found->us < 0) return {};
  return found->us;
}

bool StepCosts::set(const Cell& cell, int64_t us) {
  const auto found = std::ranges::find(nodes_, cell, &Node::cell);
  if (cell.tokens <= 0 || us <= 0 || found == nodes_.end()) return false;
  found->us = us;
  any_measured_ = true;
  unit_ = 0;
  estimate();
  return true;
}

/// The values of all nodes, measured or not.
void StepCosts::estimate() {
  pace_ = one;
  for (Node& node : nodes_) {
    node.value = 0;
    node.factor = one;
  }
  estimate_rows();
  for (size_t t = 0; t < tokens_.size(); ++t) {
    for (size_t s = 0; s < 2; ++s) {
      for (size_t c = 1; c < contexts_.size(); ++c) estimate_attention(t, s, c);
    }
  }
}

/// Fewer rows take no longer than more, and more at most as much longer as they are more.
void StepCosts::estimate_rows() {
  const auto us_of = [&](size_t t) { return std::max(nodes_[index(t, 0, 0)].us, nodes_[index(t, 1, 0)].us); };
  for (size_t t = 0; t < tokens_.size(); ++t) {
    int64_t otherwise = -1;
    for (size_t k = t + 1; k-- > 0 && otherwise < 0;) {
      if (us_of(k) > 0) otherwise = us_of(k) * tokens_[t] / tokens_[k];
    }
    for (size_t k = t; k < tokens_.size(); ++k) {
      if (us_of(k) <= 0) continue;
      otherwise = otherwise < 0 ? us_of(k) : std::min(otherwise, us_of(k));
      break;
    }
    for (size_t s = 0; s < 2; ++s) {
      Node& node = nodes_[index(t, s, 0)];
      node.value = node.us > 0 ? node.us : std::max<int64_t>(otherwise, 0);
    }
  }
}

/// What attention adds grows with the context, and with the tokens: of other numbers of them where these were not
/// measured. Sequences that decode read a context each.
void StepCosts::estimate_attention(size_t token, size_t sequence, size_t context) {
  const auto added = [&](size_t t, size_t s) -> int64_t {
    const Node& node = nodes_[index(t, s, context)];
    if (node.us < 0) return -1;
    const int64_t more = std::max<int64_t>(0, node.us - nodes_[index(t, s, 0)].value);
    return more * contexts_[context] / node.cell.context;
  };
  int64_t value = added(token, sequence);
  for (size_t away = 1; value < 0 && away < tokens_.size(); ++away) {
    for (const size_t t : {token - away, token + away}) {
      if (t >= tokens_.size() || added(t, sequence) < 0) continue;
      value = added(t, sequence) * tokens_[token] / tokens_[t];
      break;
    }
  }
  if (value < 0 && sequence == 1) {
    const int64_t alone = nodes_[index(0, 0, context)].value;
    value = std::max(nodes_[index(token, 0, context)].value, alone * sequences_of(token, 1));
  }
  if (value < 0 && context > 1) {
    value = nodes_[index(token, sequence, context - 1)].value * contexts_[context] / contexts_[context - 1];
  }
  nodes_[index(token, sequence, context)].value = std::max<int64_t>(0, value);
}

void StepCosts::locate(int32_t tokens, int32_t sequences, size_t context, int64_t weight,
                       std::vector<Share>& shares) const {
  size_t above = 0;
  while (above + 1 < tokens_.size() && tokens_[above] < tokens) ++above;
  const size_t below = above == 0 || tokens_[above] <= tokens ? above : above - 1;
  const int64_t span = tokens_[above] - tokens_[below];
  const int64_t upper = span == 0 ? one : one * (tokens - tokens_[below]) / span;
  const int64_t most = std::max(1, std::min(tokens, most_sequences_) - 1);
  const int64_t many = one * std::min<int64_t>(most, sequences - 1) / most;
  for (const auto& [t, by_tokens] : {std::pair(above, upper), std::pair(below, one - upper)}) {
    for (const auto& [s, by_sequences] : {std::pair(size_t{1}, many), std::pair(size_t{0}, one - many)}) {
      const int64_t own = weight * by_tokens / one * by_sequences / one;
      if (own > 0) shares.push_back({index(t, s, context), own});
    }
  }
}

/// Attention of so many tokens behind as much each. It grows in proportion between 0 and the first context.
void StepCosts::locate_attention(int32_t tokens, int32_t sequences, int64_t context, std::vector<Share>& shares) const {
  if (tokens <= 0 || context <= 0) return;
  const auto behind = static_cast<int32_t>(std::min<int64_t>(context, most_context_));
  size_t above = 1;
  while (above + 1 < contexts_.size() && contexts_[above] < behind) ++above;
  const int64_t span = contexts_[above] - contexts_[above - 1];
  const int64_t upper = one * (behind - contexts_[above - 1]) / span;
  locate(tokens, sequences, above, upper, shares);
  if (above > 1) locate(tokens, sequences, above - 1, one - upper, shares);
}

std::vector<StepCosts::Share> StepCosts::shares_of(const StepWork& work) const {
  std::vector<Share> shares;
  locate(work.tokens(), work.sequences(), 0, one, shares);
  if (work.decodes > 0) {
    locate_attention(work.decodes, work.decodes, work.decode_context / work.decodes, shares);
  }
  if (work.prompt_tokens > 0) {
    locate_attention(work.prompt_tokens, work.prompts, work.prompt_context / work.prompt_tokens, shares);
  }
  return shares;
}

int64_t StepCosts::bound() const { return one * (any_measured_ ? measured_bound : guessed_bound); }

int64_t StepCosts::corrected(const Node& node) const {
  return node.value * std::clamp(node.factor * pace_ / one, one * one / bound(), bound()) / one;
}

int64_t StepCosts::predict(const StepWork& work) const {
  if (work.tokens() == 0 || !known()) return 0;
  int64_t us = 0;
  for (const Share& share : shares_of(work)) us += corrected(nodes_[share.node]) * share.weight / one;
  return std::max<int64_t>(us, 1);
}

int64_t StepCosts::predict_prompt(int32_t tokens, int32_t cached) const {
  int64_t us = 0;
  for (int32_t chunk = 0; tokens > 0; tokens -= chunk, cached += chunk) {
    chunk = std::min(tokens, tokens_.back());
    StepWork work;
    work.add_chunk(cached, chunk);
    us += predict(work);
  }
  return us;
}

void StepCosts::correct(const StepWork& work, int64_t us) {
  if (work.tokens() == 0 || us <= 0) return;
  if (!known()) {
    unit_ = std::max<int64_t>(1, us * 1000 / (tokens_of_weights + work.tokens()));
    for (size_t t = 0; t < tokens_.size(); ++t) {
      for (size_t s = 0; s < 2; ++s) {
        nodes_[index(t, s, 0)].value = std::max<int64_t>(1, unit_ * (tokens_of_weights + tokens_[t]) / 1000);
      }
    }
    return;
  }
  const int64_t predicted = predict(work);
  // One step that was held up must not make all that follow look slow.
  const int64_t seen = std::clamp(us, predicted / 2, predicted * 2);
  const int64_t least = seen > predicted ? 1 : seen < predicted ? -1 : 0;
  const auto moved = [&](int64_t factor, int64_t step) {
    return std::clamp(factor + (step == 0 ? least : step), one * one / bound(), bound());
  };
  for (const Share& share : shares_of(work)) {
    Node& node = nodes_[share.node];
    const int64_t part = std::max<int64_t>(1, corrected(node) * share.weight / one);
    const int64_t step = node.factor * (seen - predicted) / predicted * part / predicted / cell_slowness;
    if (step != 0 || part * 4 > predicted) node.factor = moved(node.factor, step);
  }
  pace_ = moved(pace_, pace_ * (seen - predicted) / predicted / pace_slowness);
}

}  // namespace incipit
