// Who is next, how much of a step a prompt may take, and when a newcomer would have its first token.
#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "base/error.h"
#include "session/scheduler.h"

namespace incipit {
namespace {

constexpr int64_t idle_times = 10;            // what a prompt without a deadline is meant to take, times alone
constexpr int64_t priority_us = 10'000'000;   // what a level is worth
constexpr int32_t most_looks = 16;            // into a line, for a prompt that ends within the step
constexpr int32_t chunk_of_the_unknown = 64;  // beside streams, before any step was seen

}  // namespace

Scheduler::Rank Scheduler::rank_of(const SequenceTerms& terms, int64_t alone_us, int64_t arrival) const {
  if (policy_.in_order) return {false, 0, arrival};
  const int64_t wanted = terms.first_token_us > 0 ? terms.first_token_us : (idle_times + waiting_count_) * alone_us;
  const int64_t level =
      terms.is_batch() ? 0 : std::clamp(terms.priority, -SequenceTerms::batch_priority, SequenceTerms::batch_priority);
  return {terms.is_batch(), terms.arrival_us + wanted - alone_us + level * priority_us, arrival};
}

void Scheduler::line_up(SequenceId id, Sequence& sequence) {
  waiting_[sequence.terms.tenant].emplace(sequence.rank, id);
  sequence.in_line = true;
  ++waiting_count_;
}

void Scheduler::leave_line(Sequence& sequence) {
  if (!sequence.in_line) return;
  const auto line = waiting_.find(sequence.terms.tenant);
  line->second.erase(sequence.rank);
  if (line->second.empty()) waiting_.erase(line);
  sequence.in_line = false;
  --waiting_count_;
}

/// The prompts that may come next, of each tenant the first that waits, and all that were begun. Those that had their
/// turn in this step are passed over, as they may have found no room in it.
template <typename Visit>
void Scheduler::each_prompt(bool batch, bool with_waiting, Visit visit) const {
  for (const SequenceId id : running_) {
    const Sequence& one = sequence(id);
    if (!one.decodes && one.considered != steps_ && one.terms.is_batch() == batch) visit(id, one);
  }
  if (!with_waiting) return;
  for (const auto& [tenant, line] : waiting_) {
    int32_t looks = 0;
    const auto first = batch ? line.lower_bound({true, INT64_MIN, INT64_MIN}) : line.begin();
    for (auto place = first; place != line.end() && place->first.batch == batch && looks < most_looks;
         ++place, ++looks) {
      const Sequence& one = sequence(place->second);
      if (one.considered == steps_) continue;
      visit(place->second, one);
      break;
    }
  }
}

/// Of the tenants that have had least, the prompt that ranks first; −1 when there is none.
SequenceId Scheduler::next_prompt(bool batch, bool with_waiting) const {
  int64_t least = INT64_MAX;
  each_prompt(batch, with_waiting,
              [&](SequenceId, const Sequence& one) { least = std::min(least, tenants_.counter(one.terms.tenant)); });
  SequenceId next = -1;
  const Rank* best = nullptr;
  each_prompt(batch, with_waiting, [&](SequenceId id, const Sequence& one) {
    if (tenants_.counter(one.terms.tenant) > least + Tenants::quantum) return;
    if (best == nullptr || one.rank < *best) next = id, best = &one.rank;
  });
  return next;
}

/// Whether somebody waits who is not of the batch class.
bool Scheduler::anybody_waits() const {
  return std::ranges::any_of(waiting_, [](const auto& line) { return !line.second.begin()->first.batch; });
}

/// The most tokens of a chunk, up to `most`, with which a step keeps to the bound.
int32_t Scheduler::affordable_chunk(const StepWork& beside, int64_t bound, int32_t context, int32_t most) const {
  if (!costs_.known()) return beside.decodes > 0 || shares_device_ ? std::min(most, chunk_of_the_unknown) : most;
  const auto keeps = [&](int32_t tokens) {
    StepWork work = beside;
    work.add_chunk(context, tokens);
    return costs_.predict(work) <= bound;
  };
  if (keeps(most)) return most;
  int32_t least = 0;
  while (most - least > 1) {
    const int32_t middle = least + (most - least) / 2;
    (keeps(middle) ? least : most) = middle;
  }
  return least;
}

StepWish Scheduler::least_step() const {
  StepWork work;
  for (const SequenceId id : running_) {
    const Sequence& one = sequence(id);
    if (one.decodes && !one.terms.is_batch()) work.add_decode(one.done_tokens);
  }
  const bool streams = work.decodes > 0;
  work.add_chunk(0, std::min(least_chunk, limits_.max_tokens));
  return {costs_.predict(work), streams};
}

/// µs of work before a prompt of that rank: its own tenant's, and of others no more than is their share.
int64_t Scheduler::work_before(const Rank& rank, const SequenceTerms& terms, int64_t own_us) const {
  std::map<uint64_t, int64_t> before;
  for (const SequenceId id : running_) {
    const Sequence& one = sequence(id);
    if (one.decodes || rank < one.rank) continue;
    before[one.terms.tenant] += one.alone_us * one.left_tokens() / one.known_tokens;
  }
  for (const auto& [tenant, line] : waiting_) {
    for (auto place = line.begin(); place != line.end() && place->first < rank; ++place) {
      before[tenant] += sequence(place->second).alone_us;
    }
  }
  const int64_t own = own_us + before[terms.tenant];
  int64_t sum = before[terms.tenant];
  for (const auto& [tenant, us] : before) {
    if (tenant != terms.tenant) sum += std::min(us, own * tenants_.weight(tenant) / terms.weight);
  }
  return sum;
}

/// Until a slot is free for a newcomer, when all go on for as long as others did.
int64_t Scheduler::wait_for_slot(const Rank& rank, int64_t step_us) const {
  std::vector<int64_t> steps_left;  // of each slot, as a heap
  for (const SequenceId id : running_) {
    const Sequence& one = sequence(id);
    if (one.terms.is_batch() && !rank.batch) continue;  // gives its slot up
    const int64_t done = one.known_tokens - one.prompt_tokens;
    steps_left.push_back(std::clamp<int64_t>(mean_new_tokens_ - done, 1, one.max_tokens - one.known_tokens + 1));
  }
  steps_left.resize(static_cast<size_t>(limits_.slots));
  std::ranges::make_heap(steps_left, std::greater());
  for (const auto& [tenant, line] : waiting_) {
    for (auto place = line.begin(); place != line.end() && place->first < rank; ++place) {
      std::ranges::pop_heap(steps_left, std::greater());
      steps_left.back() += mean_new_tokens_;
      std::ranges::push_heap(steps_left, std::greater());
    }
  }
  return steps_left.front() * step_us;
}

int64_t Scheduler::predict_first_token(std::span<const int32_t> prompt, const SequenceTerms& terms,
                                       int64_t pending_tokens) const {
  if (!costs_.known()) return 0;
  const int32_t found = find_prefix(terms.salt, prompt).tokens;
  const auto tokens = static_cast<int32_t>(prompt.size());
  const int64_t alone = costs_.predict_prompt(tokens - found, found);
  const Rank rank = rank_of(terms, alone, arrivals_);
  StepWork streams;
  for (const SequenceId id : running_) {
    const Sequence& one = sequence(id);
    if (one.decodes && !one.terms.is_batch()) streams.add_decode(one.done_tokens);
  }
  int64_t in_flight = 0;
  for (const StepRecord& step : untold_) in_flight += costs_.predict(step.work);
  // A step beside the streams does the work of so many µs alone.
  const auto chunk_us = [&](StepWork step, int32_t count) {
    step.add_chunk(0, count);
    return costs_.predict(step);
  };
  const int32_t room = std::max(1, limits_.max_tokens - streams.decodes);
  const int64_t limit = step_limit(streams, work_before(rank, terms, alone) > 0 ? 2 : 1);
  const int32_t chunk = std::max(std::min(room, least_chunk), affordable_chunk(streams, limit, 0, room));
  const int64_t whole = chunk_us({}, limits_.max_tokens);
  const int64_t pending = whole * pending_tokens / limits_.max_tokens;
  const int64_t work = work_before(rank, terms, alone) + pending + alone;
  const int64_t step = chunk_us(streams, chunk);
  // What is less than a step's chunk takes a step of its own length.
  const int64_t first = tokens - found <= chunk && work == alone ? chunk_us(streams, tokens - found)
                                                                 : work * step * limits_.max_tokens / (whole * chunk);
  return in_flight + std::max(first, wait_for_slot(rank, step));
}

}  // namespace incipit
