#include "session/session.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "engine/plan_items.h"
#include "engine/weight_check.h"
#include "session/check_request.h"
#include "session/generation_defaults.h"
#include "session/live_sequence.h"
#include "session/scheduler_setup.h"
#include "session/step_timer.h"
#include "session/stop_text.h"
#include "text/detokenizer.h"

namespace incipit {
namespace {

/// Special tokens are not shown: what a stop text says of them is looked for among the texts that are not.
StopTextFilter make_stops(const std::vector<std::string>& texts, const Tokenizer* tokenizer) {
  std::vector<std::string> shown, with_hidden;
  for (const std::string& text : texts) {
    const std::vector<int32_t> ids = tokenizer->encode(text, {.add_special_tokens = false});
    const bool special = std::ranges::any_of(ids, [&](int32_t id) { return tokenizer->is_special(id); });
    (special ? with_hidden : shown).push_back(text);
  }
  return StopTextFilter(std::move(shown), std::move(with_hidden));
}

}  // namespace

int64_t clock_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::none: return "none";
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::cancelled: return "cancelled";
    case FinishReason::failed: return "failed";
  }
  return "none";
}

struct Session::State {
  std::shared_ptr<const Engine> engine;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<int32_t> end_ids;
  Executor executor;
  /// The engine's thread changes the scheduler under this; other threads look at it under this.
  mutable std::mutex scheduler_mutex;
  Scheduler scheduler;
  /// Steps kept in flight beside the one being prepared. The processor has run a step when submit() returns: waiting
  /// for the next one would only hold its tokens back.
  size_t steps_ahead;
  std::map<SequenceId, LiveSequence> live;
  std::vector<SequenceId> cancelled;  // whose listeners have not heard it yet
  std::deque<InFlight> in_flight;
  SequenceId next_id = 1;
  bool check_wanted;
  bool sampled = false;              // a token has been told
  std::optional<WeightCheck> check;  // from then on
  int64_t last_step_us = 0;          // when the last step's samples were there
  std::optional<StepTimer> timer;

  // Reused from step to step.
  std::vector<BatchEntry> entries;
  std::vector<std::vector<std::span<const int32_t>>> page_tables;
  std::vector<int32_t> last_rows;

  State(std::shared_ptr<const Engine> from, const SessionOptions& options)
      : engine(std::move(from)),
        tokenizer(engine->tokenizer().empty() ? nullptr : Tokenizer::open(engine->tokenizer(), engine)),
        executor(engine, make_device(engine->target(), options.threads), options.executor),
        scheduler(make_scheduler_limits(executor.limits(), options), options.policy,
                  empty_costs(*engine, make_scheduler_limits(executor.limits(), options))),
        steps_ahead(executor.device().target().backend == Backend::cpu ? 0 : 1),
        check_wanted(options.check_weights) {
    for (const int32_t id : items(engine->plan().end_ids())) end_ids.push_back(id);
  }

  void schedule(SequenceId id, LiveSequence& one);
  void start_forks(LiveSequence& parent);
  void remove(SequenceId id, LiveSequence& one);
  SequenceTerms terms_of(const Request& request) const;
  void tell_cancelled();
  bool submit_next(int64_t longest_us);
  void collect_oldest();
  void check_whole();
  std::vector<uint32_t> mask_of_ends(const Request& request) const;
  void tell_chunk(const PromptChunk& chunk);
  void accept(SequenceId id, LiveSequence& one, const SampledRow& row);
  bool ends_at(const LiveSequence& one, int32_t token) const;
  bool tell(const LiveSequence& one, const TokenEvent& event);
  void finish(SequenceId id);
  void fail(SequenceId id, LiveSequence& one, std::string_view why);
};

Session::Session(std::shared_ptr<const Engine> engine, const SessionOptions& options)
    : state_(std::make_unique<State>(std::move(engine), options)) {}

Session::~Session() = default;

Executor& Session::executor() { return state_->executor; }
const Tokenizer* Session::tokenizer() const { return state_->tokenizer.get(); }
std::span<const int32_t> Session::end_ids() const { return state_->end_ids; }

SamplingParameters Session::default_sampling() const { return generation_defaults(*state_->engine); }

SequenceId Session::submit(Request request, Listener listener) {
  State& state = *state_;
  const ExecutorLimits& limits = state.executor.limits();
  check(request);
  const auto prompt = static_cast<int32_t>(request.prompt.size());
  // The last sample is not fed back, so that a prompt that fills the context still has its first token.
  const int32_t room = limits.max_context + 1 - prompt;
  const int32_t new_tokens = request.max_new_tokens == 0 ? room : std::min(room, request.max_new_tokens);
  const SequenceId id = state.next_id++;
  LiveSequence& one = state.live[id];
  one.tokens = request.prompt;
  one.max_tokens = prompt + new_tokens;
  if (state.tokenizer != nullptr && request.detokenize) {
    one.detokenizer = std::make_unique<StreamingDetokenizer>(state.tokenizer);
    one.detokenizer->follow(request.prompt);
  }
  one.stops = make_stops(request.stop_texts, state.tokenizer.get());
  if (request.min_new_tokens > 0) one.unended = state.mask_of_ends(request);
  one.request = std::move(request);
  one.listener = std::move(listener);
  const auto parent = state.live.find(static_cast<SequenceId>(one.request.fork_of));
  if (parent != state.live.end() && parent->first != id && parent->second.waits_for_prompt()) {
    one.held_by = parent->first;
    parent->second.forks.push_back(id);
  } else {
    state.schedule(id, one);
  }
  return id;
}

void Session::State::schedule(SequenceId id, LiveSequence& one) {
  one.held_by = 0;
  // The executor's pools hold at least one sequence of the full context.
  const std::lock_guard lock(scheduler_mutex);
  INCIPIT_ASSERT(scheduler.add(id, one.request.prompt, one.max_tokens, terms_of(one.request)));
}

/// What others waited for is there, or never will be.
void Session::State::start_forks(LiveSequence& parent) {
  for (const SequenceId id : std::exchange(parent.forks, {})) schedule(id, live.at(id));
}

/// Out of the scheduler, or out of those that wait for another's prompt.
void Session::State::remove(SequenceId id, LiveSequence& one) {
  if (one.held_by != 0) {
    std::erase(live.at(one.held_by).forks, id);
    one.held_by = 0;
  } else {
    const std::lock_guard lock(scheduler_mutex);
    scheduler.remove(id);
  }
  start_forks(one);
}

void Session::check(const Request& request) const {
  check_request(request, state_->executor.limits(), state_->tokenizer != nullptr);
}

void Session::abandon(std::string_view why) {
  while (!state_->live.empty()) {
    const auto first = state_->live.begin();
    state_->fail(first->first, first->second, why);
  }
}

void Session::cancel(SequenceId id) {
  const auto found = state_->live.find(id);
  if (found == state_->live.end() || found->second.cancelled) return;
  found->second.cancelled = true;
  state_->remove(id, found->second);
  state_->cancelled.push_back(id);
}

bool Session::step(int64_t longest_us) {
  State& state = *state_;
  state.tell_cancelled();
  const bool submitted = state.submit_next(longest_us);
  const size_t keep = submitted ? state.steps_ahead : 0;
  while (state.in_flight.size() > keep) state.collect_oldest();
  if (state.check_wanted && state.sampled && !state.check) state.check.emplace(state.engine);
  if (state.check) state.check->report();
  return !state.in_flight.empty() || !state.live.empty();
}

StepWish Session::least_step() const { return state_->scheduler.least_step(); }

bool Session::in_flight() const { return !state_->in_flight.empty(); }

void Session::settle() {
  while (!state_->in_flight.empty()) state_->collect_oldest();
}

std::vector<PrefixCache::Text> Session::latest_texts(size_t most_tokens) const {
  return state_->scheduler.latest_texts(most_tokens);
}

bool Session::drop_prefixes() {
  State& state = *state_;
  const std::lock_guard guard(state.scheduler_mutex);
  if (!state.live.empty() || !state.in_flight.empty()) return false;
  state.scheduler.drop_prefixes();
  state.executor.give_pages_back();
  return true;
}

SessionLoad Session::load() const {
  const Scheduler& scheduler = state_->scheduler;
  SessionLoad load{scheduler.waiting(), scheduler.running(), 0, scheduler.preemptions()};
  for (size_t g = 0; g < scheduler.limits().groups.size(); ++g) {
    const double free = scheduler.free_pages(static_cast<int32_t>(g));
    load.pages_held = std::max(load.pages_held, 1 - free / std::max(1, scheduler.limits().groups[g].pages));
  }
  return load;
}

void Session::finish_check(std::chrono::milliseconds longest) {
  if (state_->check) state_->check->finish(longest);
}

void Session::run() {
  while (step()) {
  }
}

int64_t Session::predict_first_token(const Request& request, int64_t pending_tokens) const {
  const std::lock_guard lock(state_->scheduler_mutex);
  return state_->scheduler.predict_first_token(request.prompt, state_->terms_of(request), pending_tokens);
}

const SchedulerLimits& Session::scheduler_limits() const { return state_->scheduler.limits(); }
const StepCosts& Session::costs() const { return state_->scheduler.costs(); }

void Session::set_costs(StepCosts costs) {
  const std::lock_guard lock(state_->scheduler_mutex);
  state_->scheduler.set_costs(std::move(costs));
}

std::optional<int64_t> Session::time_step(const StepCosts::Cell& cell) {
  State& state = *state_;
  if (!state.live.empty() || !state.in_flight.empty()) return {};
  if (!state.timer) state.timer.emplace(state.executor);
  return state.timer->time(state.scheduler, cell);
}

SequenceTerms Session::State::terms_of(const Request& request) const {
  SequenceTerms terms;
  terms.salt = request.cache_salt;
  terms.arrival_us = request.arrival_us > 0 ? request.arrival_us : clock_us();
  terms.first_token_us = request.first_token_us;
  terms.priority = request.priority;
  terms.tenant = request.tenant;
  terms.weight = std::max(1, request.tenant_weight);
  terms.explains = request.explain_cache;
  return terms;
}

void Session::State::tell_cancelled() {
  for (const SequenceId id : std::exchange(cancelled, {})) {
    const auto node = live.extract(id);
    TokenEvent event = node.mapped().event(id);
    event.finish = FinishReason::cancelled;
    tell(node.mapped(), event);
  }
}

/// All tokens but those that would end the text.
std::vector<uint32_t> Session::State::mask_of_ends(const Request& request) const {
  std::vector<uint32_t> mask(static_cast<size_t>((executor.limits().vocabulary + 31) / 32), ~uint32_t{0});
  const auto forbid = [&](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) mask[static_cast<size_t>(id) / 32] &= ~(uint32_t{1} << (id % 32));
  };
  if (!request.ignore_end) forbid(end_ids);
  forbid(request.stop_ids);
  return mask;
}

bool Session::State::submit_next(int64_t longest_us) {
  const auto begun = std::chrono::steady_clock::now();
  std::span<const ScheduledEntry> scheduled;
  {
    const std::lock_guard lock(scheduler_mutex);
    scheduled = scheduler.schedule(longest_us);
  }
  const auto now = std::chrono::steady_clock::now();
  for (const PageCopy& copy : scheduler.copies()) executor.copy_page(copy.group, copy.from, copy.to);
  if (scheduled.empty()) return false;

  InFlight step;
  entries.clear();
  page_tables.resize(std::max(page_tables.size(), scheduled.size()));
  last_rows.resize(scheduled.size());
  for (size_t i = 0; i < scheduled.size(); ++i) {
    const ScheduledEntry& from = scheduled[i];
    LiveSequence& one = live.at(from.id);
    if (from.starts) {
      const auto cached = std::span(one.tokens).first(static_cast<size_t>(from.first_position));
      executor.configure(from.slot, one.request.sampling, one.prompt_tokens(), cached);
      if (!one.cached_tokens) {
        one.cached_tokens = from.first_position;
        one.started = now;
        one.scheduling = now - begun;
        one.explained = scheduler.explanation(from.id);
      }
    }
    page_tables[i].clear();
    for (size_t g = 0; g < executor.limits().groups.size(); ++g) {
      page_tables[i].push_back(scheduler.pages(from.id, static_cast<int32_t>(g)));
    }
    BatchEntry entry;
    entry.slot = from.slot;
    entry.first_position = from.first_position;
    if (!from.from_last_sample) {
      entry.tokens =
          std::span(one.tokens).subspan(static_cast<size_t>(from.first_position), static_cast<size_t>(from.tokens));
    }
    entry.pages = page_tables[i];
    last_rows[i] = from.tokens - 1;
    const int32_t end = from.first_position + from.tokens;
    if (from.samples) {
      entry.rows = {&last_rows[i], 1};
      if (end - one.prompt_tokens() < one.request.min_new_tokens) entry.mask = one.unended;
      one.prompt_submitted = true;
      step.samples.push_back(from.id);
    }
    if (one.request.tell_progress && one.prompt_done < one.prompt_tokens()) {
      step.chunks.push_back({from.id, std::min(end, one.prompt_tokens())});
    }
    entries.push_back(entry);
  }
  Batch batch;
  batch.entries = entries;
  step.submitted_us = clock_us();
  step.ticket = executor.submit(batch);
  for (const SequenceId id : step.samples) {
    LiveSequence& one = live.at(id);
    if (one.forks.empty()) continue;
    {
      const std::lock_guard lock(scheduler_mutex);
      scheduler.offer(id);
    }
    start_forks(one);
  }
  in_flight.push_back(std::move(step));
  return true;
}

void Session::State::collect_oldest() {
  INCIPIT_ASSERT(!in_flight.empty());
  const InFlight step = std::move(in_flight.front());
  in_flight.pop_front();
  const std::span<const SampledRow> rows = executor.collect(step.ticket);
  INCIPIT_ASSERT(rows.size() == step.samples.size());
  // A step that was submitted behind another began when that one ended.
  const int64_t now = clock_us(), began = std::max(step.submitted_us, std::exchange(last_step_us, now));
  {
    const std::lock_guard lock(scheduler_mutex);
    scheduler.ran(now - began);
  }
  for (const PromptChunk& chunk : step.chunks) tell_chunk(chunk);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(rows[i].logprob)) check_whole();
    const auto found = live.find(step.samples[i]);
    // A sequence may have ended after this token of it was submitted.
    if (found == live.end() || found->second.cancelled) continue;
    try {
      accept(found->first, found->second, rows[i]);
    } catch (const std::exception& error) {
      fail(found->first, found->second, error.what());
    }
  }
}

/// Logits that are no numbers may come of altered weights: then the engine fails, and the model is not blamed.
void Session::State::check_whole() {
  if (!std::exchange(check_wanted, false)) return;
  if (!check) check.emplace(engine);
  check->finish();
}

void Session::State::tell_chunk(const PromptChunk& chunk) {
  const auto found = live.find(chunk.id);
  if (found == live.end() || found->second.cancelled) return;
  LiveSequence& one = found->second;
  one.prompt_done = std::max(one.prompt_done, chunk.done);  // a prompt that is computed again was told of
  // The last chunk brings a token, whose event says as much.
  if (one.prompt_done < one.prompt_tokens() && !tell(one, one.event(chunk.id))) finish(chunk.id);
}

bool Session::State::ends_at(const LiveSequence& one, int32_t token) const {
  if (one.new_tokens() <= one.request.min_new_tokens) return false;
  const auto among = [&](const std::vector<int32_t>& ids) { return std::ranges::find(ids, token) != ids.end(); };
  return (!one.request.ignore_end && among(end_ids)) || among(one.request.stop_ids);
}

void Session::State::accept(SequenceId id, LiveSequence& one, const SampledRow& row) {
  // Of logits that are no numbers no token was drawn, whatever its id says.
  if (!std::isfinite(row.logprob)) {
    throw Error("the model", "its logits are NaN or infinite",
                "build it with --precision f32, or mend the checkpoint's weights");
  }
  one.tokens.push_back(row.id);
  {
    const std::lock_guard lock(scheduler_mutex);
    scheduler.learn(id, row.id);
  }
  sampled = true;
  TokenEvent event = one.event(id);
  event.token = row;
  if (ends_at(one, row.id)) {
    event.finish = FinishReason::stop;
  } else if (static_cast<int32_t>(one.tokens.size()) >= one.max_tokens) {
    event.finish = FinishReason::length;
  }
  std::string text;
  if (one.detokenizer != nullptr) {
    const bool may_stop = event.new_tokens > one.request.min_new_tokens;
    // The token that ends a text is no part of it.
    if (event.finish != FinishReason::stop) {
      text = one.detokenizer->push(row.id);
      if (may_stop) text = one.stops.push(text);
    }
    if (may_stop && tokenizer->is_special(row.id)) text += one.stops.push_hidden(tokenizer->token_bytes(row.id));
    if (event.finish != FinishReason::none && !one.stops.stopped()) {
      text += one.stops.push(one.detokenizer->flush());
      text += one.stops.flush();
    }
    if (one.stops.stopped()) event.finish = FinishReason::stop;
  }
  event.text = text;
  const bool over = event.finish != FinishReason::none;
  // A listener that cancels its request hears of it in the next step, unless this was its end anyway.
  if (!tell(one, event) || over) finish(id);
}

/// False when the listener failed: its request ends, silently, and no other.
bool Session::State::tell(const LiveSequence& one, const TokenEvent& event) {
  try {
    one.listener(event);
    return true;
  } catch (const std::exception& error) {
    log_warning("sequence {} is dropped, because its listener failed: {}", event.id, error.what());
    return false;
  }
}

/// Forgets a sequence. Its pages and slot may be given away at once: the device's queue keeps the order of steps.
void Session::State::finish(SequenceId id) {
  const auto found = live.find(id);
  if (found->second.cancelled) {
    std::erase(cancelled, id);
  } else {
    remove(id, found->second);
  }
  live.erase(found);
}

void Session::State::fail(SequenceId id, LiveSequence& one, std::string_view why) {
  TokenEvent event = one.event(id);
  event.finish = FinishReason::failed;
  event.failure = why;
  tell(one, event);
  finish(id);
}

}  // namespace incipit
