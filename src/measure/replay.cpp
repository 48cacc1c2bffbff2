#include "measure/replay.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "load/arrivals.h"

namespace incipit {
namespace {

using ReplayClock = std::chrono::steady_clock;

/// As the context holds it.
Arrival arrival_of_choice(const RecordedRequest& recorded, size_t choice, int32_t context, bool& cut) {
  const RecordedPrompt& prompt = recorded.prompts[recorded.prompt_of(choice)];
  std::vector<Arrival> one(1);
  one[0] = {0, prompt.tokens, std::max(1, recorded.choices[choice].new_tokens), {}, recorded_prefix_tokens};
  for (const uint64_t digest : prompt.digests) one[0].blocks.push_back(static_cast<int64_t>(digest));
  cut = int64_t{one[0].prompt_tokens} + one[0].new_tokens > context;
  if (cut) cut_to_context(one, context);
  return one[0];
}

Request request_of_choice(const RecordedRequest& recorded, size_t choice, const ReplayLimits& limits, bool& cut) {
  const RecordedPrompt& prompt = recorded.prompts[recorded.prompt_of(choice)];
  const RecordedChoice& said = recorded.choices[choice];
  const Arrival arrival = arrival_of_choice(recorded, choice, limits.context, cut);
  Request request = recorded.terms;
  request.sampling.seed = said.seed;
  request.detokenize = !request.stop_texts.empty();
  if (prompt.ids.empty()) {
    // What made the text end is not there: its length is.
    request.prompt = prompt_of(arrival, 0, 0, 0, limits.vocabulary);
    request.ignore_end = true;
    request.min_new_tokens = 0;
    request.max_new_tokens = arrival.new_tokens;
    return request;
  }
  request.prompt.assign(prompt.ids.begin(), prompt.ids.begin() + arrival.prompt_tokens);
  const bool broken_off = said.finish == FinishReason::cancelled || said.finish == FinishReason::failed;
  if (cut || broken_off) {
    request.max_new_tokens =
        request.max_new_tokens == 0 ? arrival.new_tokens : std::min(request.max_new_tokens, arrival.new_tokens);
    request.min_new_tokens = std::min(request.min_new_tokens, request.max_new_tokens);
  }
  return request;
}

/// What comes of a turn's items on one engine, told by the engine's thread.
class Turn {
 public:
  explicit Turn(size_t items) : heard_(items) {}

  struct Heard {
    ReplayClock::time_point submitted, last;
    ReplayAnswer answer;
    std::vector<int32_t> ids;
    bool ended = false;
  };

  void begin(size_t item) {
    const std::lock_guard lock(mutex_);
    heard_[item].submitted = ReplayClock::now();
    ++running_;
  }
  void add(size_t item, const TokenEvent& event) {
    const ReplayClock::time_point now = ReplayClock::now();
    {
      const std::lock_guard lock(mutex_);
      Heard& heard = heard_[item];
      ReplayAnswer& answer = heard.answer;
      if (event.token.id >= 0) {
        const auto seconds_since = [&](auto then) { return std::chrono::duration<double>(now - then).count(); };
        if (answer.first_s < 0) {
          answer.first_s = seconds_since(heard.submitted);
        } else {
          answer.gaps_s.push_back(seconds_since(heard.last));
        }
        heard.last = now;
        heard.ids.push_back(event.token.id);
      }
      if (event.finish == FinishReason::none) return;
      answer.cached_tokens = event.cached_tokens;
      answer.new_tokens = event.new_tokens;
      if (event.finish == FinishReason::failed) answer.failure = event.failure;
      if (event.finish == FinishReason::cancelled) answer.failure = "cancelled";
      heard.ended = true;
      --running_;
    }
    changed_.notify_all();
  }
  void fail(size_t item, const std::string& why) {
    const std::lock_guard lock(mutex_);
    heard_[item].answer.failure = why;
    heard_[item].ended = true;
    --running_;
  }

  /// False on Ctrl-C.
  static bool wait_until(ReplayClock::time_point moment) {
    constexpr auto patience = std::chrono::milliseconds(20);
    while (!interrupted()) {
      const auto left = moment - ReplayClock::now();
      if (left <= ReplayClock::duration::zero()) return true;
      std::this_thread::sleep_for(std::min<ReplayClock::duration>(left, patience));
    }
    return false;
  }
  /// Until nothing runs; false where an interruption ends the wait, unless that is to be awaited too.
  bool wait_for_end(bool in_any_case) {
    constexpr auto patience = std::chrono::milliseconds(20);
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      if (!in_any_case && interrupted()) return false;
      changed_.wait_for(lock, patience);
    }
    return true;
  }
  std::vector<Heard> take() { return std::move(heard_); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Heard> heard_;
  size_t running_ = 0;
};

/// False on Ctrl-C: then what ran is cancelled.
bool run_turn(Gateway& engine, std::span<const ReplayItem> items, size_t first, const ReplayOptions& options,
              std::vector<Turn::Heard>& heard) {
  const auto turn = std::make_shared<Turn>(items.size());
  std::vector<RequestId> ids(items.size());
  const ReplayClock::time_point begin = ReplayClock::now();
  bool whole = true;
  for (size_t i = 0; i < items.size() && whole; ++i) {
    const std::chrono::duration<double> due(items[i].due_s / options.speed);
    whole = Turn::wait_until(begin + std::chrono::duration_cast<ReplayClock::duration>(due));
    if (!whole) break;
    Request request = items[i].request;
    request.fork_of = items[i].parent == first + i ? 0 : ids[items[i].parent - first];
    turn->begin(i);
    try {
      ids[i] = engine.submit(std::move(request), [turn, i](const TokenEvent& event) { turn->add(i, event); });
    } catch (const Error& error) {
      engine.check();  // altered weights end the replay, and not this request alone
      turn->fail(i, error.what());
    }
  }
  whole = whole && turn->wait_for_end(false);
  if (!whole) {
    for (const RequestId id : ids) {
      if (id != 0) engine.cancel(id);
    }
    turn->wait_for_end(true);
  }
  engine.check();
  heard = turn->take();
  return whole;
}

int64_t first_difference(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  return in_a == a.end() && in_b == b.end() ? -1 : in_a - a.begin();
}

}  // namespace

ReplayPlan plan_replay(std::vector<RecordedRequest> requests, const ReplayLimits& limits,
                       const ReplayOptions& options) {
  constexpr double longest_turn_s = 10;
  ReplayPlan plan;
  double turn_begin_ms = 0, busy_until_ms = 0;
  for (RecordedRequest& recorded : requests) {
    const double at_ms = recorded.arrival_ms;
    const bool is_long = at_ms - turn_begin_ms > 1000 * longest_turn_s * options.speed;
    if (plan.items.empty() || options.one_by_one || at_ms >= busy_until_ms || is_long) {
      plan.turns.push_back(plan.items.size());
      turn_begin_ms = at_ms;
    }
    busy_until_ms = std::max(busy_until_ms, at_ms + recorded.total_ms);
    ++plan.requests;
    plan.rebuilt += recorded.has_texts() ? 0 : 1;
    const size_t first = plan.items.size();
    const size_t of_a_prompt = recorded.choices.size() / recorded.prompts.size();
    for (size_t choice = 0; choice < recorded.choices.size(); ++choice) {
      ReplayItem& item = plan.items.emplace_back();
      item.line = recorded.line;
      item.choice = choice;
      item.due_s = (at_ms - turn_begin_ms) / 1000;
      bool cut = false;
      item.request = request_of_choice(recorded, choice, limits, cut);
      item.parent = first + recorded.prompt_of(choice) * of_a_prompt;
      plan.cut += cut ? 1 : 0;
    }
  }
  plan.turns.push_back(plan.items.size());
  return plan;
}

std::vector<ReplayPair> replay(const ReplayPlan& plan, std::array<Gateway*, 2> engines, const ReplayOptions& options,
                               const std::function<void(int64_t)>& advance) {
  std::vector<ReplayPair> pairs;
  for (size_t turn = 0; turn + 1 < plan.turns.size(); ++turn) {
    const size_t first = plan.turns[turn];
    const auto items = std::span(plan.items).subspan(first, plan.turns[turn + 1] - first);
    std::array<std::vector<Turn::Heard>, 2> heard;
    bool whole = true;
    for (const size_t at : {turn % 2, 1 - turn % 2}) {
      whole = whole && run_turn(*engines[at], items, first, options, heard[at]);
    }
    for (size_t i = 0; i < items.size() && i < heard[0].size() && i < heard[1].size(); ++i) {
      // Of a turn that was broken off, what both had ended before counts.
      const bool both_ended = std::ranges::all_of(
          heard, [&](const auto& one) { return one[i].ended && (whole || one[i].answer.failure != "cancelled"); });
      if (!both_ended) continue;
      ReplayPair& pair = pairs.emplace_back();
      pair.line = items[i].line;
      pair.choice = items[i].choice;
      pair.prompt_tokens = static_cast<int32_t>(items[i].request.prompt.size());
      pair.differs_at = first_difference(heard[0][i].ids, heard[1][i].ids);
      for (const size_t engine : {0, 1}) pair.answers[engine] = std::move(heard[engine][i].answer);
    }
    advance(std::ssize(items));
    if (!whole) break;
  }
  return pairs;
}

}  // namespace incipit
