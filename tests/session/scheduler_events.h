// Random events for a scheduler on a machine whose time passes, and what must hold whatever they are. The numbers come
// from a property test's generator or from a fuzzer's bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/kv_pages.h"
#include "session/scheduler.h"

namespace incipit {

class SchedulerEvents {
 public:
  /// An integer of [low, high].
  using Pick = std::function<int32_t(int32_t low, int32_t high)>;

  explicit SchedulerEvents(Pick pick) : pick_(std::move(pick)), scheduler_(limits(), policy(), costs()) {
    limits_ = scheduler_.limits();
    lag_ = pick_(0, 2);
    busy_ = pick_(1, 6);
    row_us_ = pick_(1, 200);
    weights_us_ = pick_(0, 5000);
  }

  /// Runs about so many events, then until nothing is left. Returns how many there were: arrivals, shares of steps,
  /// samples told, ends. Throws std::logic_error naming the rule that is broken.
  int64_t run(int64_t events) {
    while (events_ < events) {
      if (pick_(0, busy_) == 0 && static_cast<int32_t>(sequences_.size()) < 4 * limits_.slots) arrive();
      step();
    }
    for (int64_t idle = 0; !sequences_.empty();) {
      idle = step() ? 0 : idle + 1;
      require(idle < 8, "nothing runs, and sequences wait");
    }
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const PagePool& pool = scheduler_.pool(static_cast<int32_t>(g));
      require(pool.free_pages() + pool.idle_pages() == pool.total_pages(), "pages leaked");
    }
    require(scheduler_.running() == 0 && scheduler_.waiting() == 0, "sequences leaked");
    return events_;
  }

 private:
  struct Sequence {
    SequenceTerms terms;
    int64_t latest_us = 0;  // by when it must be due
    int32_t prompt = 0, known = 0, done = 0, max = 0, told = 0;
    bool running = false;      // has a slot, as far as we were told
    bool streams = false;      // its newest sample was taken as it ran
    bool passed_over = false;  // streams, and was not in the last step
  };

  static void require(bool holds, const char* rule) {
    if (!holds) throw std::logic_error(rule);
  }

  SchedulerLimits limits() {
    SchedulerLimits limits;
    limits.max_context = pick_(8, 300);
    limits.slots = pick_(1, 16);
    limits.max_tokens = pick_(1, 128);
    limits.max_rows = pick_(1, 16);
    limits.max_sequences = pick_(1, 16);
    limits.prefix_cache = pick_(0, 1) == 1;
    const int32_t page_tokens = pick_(1, 32);
    for (int32_t g = pick_(1, 2); g > 0; --g) {
      const int32_t window = pick_(0, 2) == 0 ? pick_(1, 60) : 0;
      const auto one = static_cast<int32_t>(most_kv_pages(page_tokens, window, limits.max_context, limits.max_tokens));
      limits.groups.push_back({page_tokens, window, pick_(one, 4 * one)});
    }
    return limits;
  }
  SchedulerPolicy policy() {
    SchedulerPolicy policy;
    policy.max_gap_us = pick_(0, 3) == 0 ? 0 : pick_(100, 20'000);
    policy.in_order = pick_(0, 7) == 0;
    policy_ = policy;
    return policy;
  }
  /// Known or not, right or not.
  StepCosts costs() {
    StepCosts costs({1, 8, 128}, 16, 300);
    if (pick_(0, 3) == 0) return costs;
    const int32_t us = pick_(1, 200);
    for (const StepCosts::Cell& cell : costs.cells()) costs.set(cell, 1000 + int64_t{us} * cell.tokens + cell.context);
    return costs;
  }

  void arrive() {
    ++events_;
    const int32_t length = pick_(1, limits_.max_context);
    const int32_t max = std::min(length + pick_(1, 40), limits_.max_context + 1);
    std::vector<int32_t> prompt(static_cast<size_t>(length));
    const int32_t text = pick_(2, 4), fork = pick_(0, length);  // prompts have much in common
    for (int32_t i = 0; i < length; ++i) prompt[static_cast<size_t>(i)] = i < fork ? i % text : (i + next_id_) % 5;
    Sequence one;
    one.terms.arrival_us = now_;
    one.terms.salt = static_cast<uint64_t>(pick_(0, 2));
    one.terms.tenant = static_cast<uint64_t>(pick_(0, 2));
    one.terms.weight = pick_(1, 3);
    one.terms.priority = pick_(0, 4) == 0 ? SequenceTerms::batch_priority : pick_(-1, 1);
    if (policy_.in_order) one.terms.priority = 0;
    one.terms.first_token_us = pick_(0, 2) == 0 ? pick_(1, 1'000'000) : 0;
    one.terms.explains = pick_(0, 3) == 0;
    // What is found in the prefix cache has attention of its own.
    const int64_t alone = scheduler_.costs().predict_prompt(length) + scheduler_.costs().predict_prompt(1, length - 1);
    const int64_t wanted =
        one.terms.first_token_us > 0 ? one.terms.first_token_us : (10 + scheduler_.waiting()) * alone;
    one.latest_us = now_ + wanted + int64_t{one.terms.priority} * 10'000'000;
    one.prompt = one.known = length;
    one.max = max;
    scheduler_.predict_first_token(prompt, one.terms);
    if (!scheduler_.add(next_id_, prompt, max, one.terms)) return;
    sequences_[next_id_++] = one;
  }

  /// False when nothing ran.
  bool step() {
    // Now and then others share the device.
    const int64_t longest_us = pick_(0, 3) == 0 ? int64_t{pick_(0, 100'000)} : INT64_MAX;
    const auto entries = scheduler_.schedule(longest_us);
    const StepWork work = scheduler_.work();
    require(work.tokens() <= limits_.max_tokens, "a step has too many tokens");
    require(static_cast<int32_t>(entries.size()) <= std::min(limits_.max_sequences, limits_.slots),
            "too many sequences");
    ++steps_;
    std::vector<SequenceId> samples;
    StepWork streams;  // and the first chunk's least, below
    const ScheduledEntry* first_chunk = nullptr;
    for (const ScheduledEntry& entry : entries) {
      ++events_;
      Sequence& one = sequences_.at(entry.id);
      check_entry(entry, one);
      if (entry.from_last_sample && !one.terms.is_batch()) streams.add_decode(entry.first_position);
      if (!entry.from_last_sample && first_chunk == nullptr) {
        first_chunk = &entry;
        check_overtaken(entry, one);
      }
      one.done += entry.tokens;
      if (entry.samples) ++one.known, one.streams = true, samples.push_back(entry.id);
      last_step_[entry.id] = steps_;
    }
    require(static_cast<int32_t>(samples.size()) <= limits_.max_rows, "a step has too many rows");
    check_gap(work, streams, first_chunk, longest_us);
    check_passed_over();
    if (steps_ % 16 == 0) check_pages();
    in_flight_.push_back(std::move(samples));
    if (work.tokens() > 0) {
      const int64_t us = weights_us_ + int64_t{row_us_} * work.tokens() + pick_(0, 1000);
      now_ += us;
      if (pick_(0, 15) > 0) scheduler_.ran(us);  // what is not told of is forgotten
    }
    if (static_cast<int32_t>(in_flight_.size()) > lag_ || work.tokens() == 0) tell_oldest();
    end_some();
    return work.tokens() > 0;
  }

  void check_entry(const ScheduledEntry& entry, Sequence& one) {
    require(last_step_[entry.id] != steps_, "a sequence is twice in a step");
    if (entry.starts) {
      require(entry.first_position < one.known, "the last token is not computed");
      require(one.told == one.known - one.prompt, "a sequence starts whose tokens are not known");
      if (const auto& explained = scheduler_.explanation(entry.id); explained && one.known == one.prompt) {
        require(explained->reused == entry.first_position, "other tokens are explained than were reused");
        require(explained->reused <= explained->position, "more was reused than is in common");
      }
      one.done = entry.first_position;
      one.running = true;
      one.streams = false;
    } else {
      require(!one.passed_over || one.terms.is_batch(), "a stream misses a step");
    }
    one.passed_over = false;
    require(one.running && entry.first_position == one.done, "tokens are out of order");
    require(entry.tokens > 0 && one.done + entry.tokens <= one.known && one.known < one.max, "too many tokens");
    require(entry.samples == (one.done + entry.tokens == one.known), "a sample is missing");
    require(!entry.from_last_sample || (entry.tokens == 1 && one.known > one.prompt), "a chunk is taken for a stream");
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const int32_t page_tokens = limits_.groups[g].page_tokens;
      const PagePool& pool = scheduler_.pool(static_cast<int32_t>(g));
      const auto table = scheduler_.pages(entry.id, static_cast<int32_t>(g));
      const int32_t last = (entry.first_position + entry.tokens - 1) / page_tokens;
      require(static_cast<int32_t>(table.size()) > last, "a page is missing");
      for (int32_t at = entry.first_position / page_tokens; at <= last; ++at) {
        const int32_t page = table[static_cast<size_t>(at)];
        require(page >= 0 && pool.holders(page) == 1 && !pool.kept(page), "a page is written that others read");
      }
    }
  }

  /// The first prompt of a step does not pass one of its own tenant and class that is due before it; and nobody is due
  /// later than what waited as he came explains.
  void check_overtaken(const ScheduledEntry& entry, const Sequence& one) const {
    if (!entry.starts || policy_.in_order || one.known > one.prompt) return;
    for (const auto& [id, other] : sequences_) {
      const bool waits = !other.running && other.known == other.prompt;
      if (!waits || other.terms.tenant != one.terms.tenant || other.terms.is_batch() || one.terms.is_batch()) continue;
      require(scheduler_.latest_start(id) >= scheduler_.latest_start(entry.id), "a prompt starves");
      require(scheduler_.latest_start(id) <= other.latest_us, "a prompt is due too late");
    }
  }

  /// A step with streams keeps to the gap, or is the smallest there is.
  void check_gap(const StepWork& work, const StepWork& streams, const ScheduledEntry* first_chunk,
                 int64_t longest_us) const {
    const int64_t own = policy_.max_gap_us == 0 ? INT64_MAX : policy_.max_gap_us + scheduler_.costs().predict(streams);
    if (streams.decodes == 0 || !scheduler_.costs().known()) return;
    StepWork smallest = streams;
    if (first_chunk != nullptr) {
      smallest.add_chunk(first_chunk->first_position, std::min(first_chunk->tokens, Scheduler::least_chunk));
    }
    const int64_t bound = std::max(std::min(own, longest_us), scheduler_.costs().predict(smallest));
    require(scheduler_.costs().predict(work) <= bound, "streams wait for longer than the gap");
  }

  /// A stream that is not in the step must have been preempted: it starts anew when it comes back.
  void check_passed_over() {
    for (auto& [id, one] : sequences_) {
      if (one.streams && one.known < one.max && last_step_[id] != steps_) one.passed_over = true;
    }
  }

  /// Every page has as many holders as tables that name it, all of one salt; the rest is free or kept.
  void check_pages() const {
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const PagePool& pool = scheduler_.pool(static_cast<int32_t>(g));
      std::map<int32_t, std::pair<int32_t, uint64_t>> holders;
      for (const auto& [id, one] : sequences_) {
        for (const int32_t page : scheduler_.pages(id, static_cast<int32_t>(g))) {
          if (page < 0) continue;
          auto& [count, salt] = holders.try_emplace(page, 0, one.terms.salt).first->second;
          require(salt == one.terms.salt, "salts share a page");
          ++count;
        }
      }
      for (const auto& [page, held] : holders) require(pool.holders(page) == held.first, "a page's holders are wrong");
      require(pool.free_pages() + pool.idle_pages() + static_cast<int32_t>(holders.size()) == pool.total_pages(),
              "pages leaked");
    }
  }

  void tell_oldest() {
    for (const SequenceId id : in_flight_.front()) {
      const auto found = sequences_.find(id);
      if (found == sequences_.end()) continue;
      ++events_;
      scheduler_.learn(id, found->second.told++ % 3);
    }
    in_flight_.pop_front();
  }

  void end_some() {
    const int32_t chance = pick_(0, 511);
    for (auto place = sequences_.begin(); place != sequences_.end();) {
      const Sequence& one = place->second;
      const bool all_told = one.told == one.max - one.prompt;
      const bool stops = one.told > 0 && place->first % 8 == chance;
      if (!all_told && !stops && place->first % 64 != chance) {
        ++place;
        continue;
      }
      ++events_;
      scheduler_.remove(place->first);
      last_step_.erase(place->first);
      place = sequences_.erase(place);
    }
  }

  Pick pick_;
  SchedulerPolicy policy_;
  Scheduler scheduler_;
  SchedulerLimits limits_;
  int32_t lag_ = 0, busy_ = 0, row_us_ = 0, weights_us_ = 0;
  std::map<SequenceId, Sequence> sequences_;
  std::map<SequenceId, int64_t> last_step_;
  std::deque<std::vector<SequenceId>> in_flight_;
  SequenceId next_id_ = 1;
  int64_t now_ = 1, steps_ = 0, events_ = 0;
};

}  // namespace incipit
