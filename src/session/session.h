// A session: an engine that generates, driven by one thread. Other threads come through a Gateway.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/sampling.h"
#include "runtime/executor.h"
#include "session/scheduler.h"
#include "text/tokenizer.h"

namespace incipit {

/// Why a sequence ended. A failure ends its request alone.
enum class FinishReason : uint8_t { none, stop, length, cancelled, failed };
std::string_view name_of(FinishReason reason);

struct Request {
  std::vector<int32_t> prompt;
  SamplingParameters sampling;
  int32_t max_new_tokens = 0;           // 0: up to the context
  int32_t min_new_tokens = 0;           // before so many nothing ends the text but the context
  std::vector<int32_t> stop_ids;        // beside the model's end tokens
  std::vector<std::string> stop_texts;  // the text ends before the first of them
  bool ignore_end = false;              // do not stop at the model's end tokens
  bool detokenize = true;               // false: events carry ids only
  uint64_t cache_salt = 0;              // requests of different salts share no cached prefixes
  uint64_t fork_of = 0;        // an earlier request of the same prompt; this one waits for it, and shares its pages
  bool tell_progress = false;  // events say, too, how much of the prompt is done
  bool explain_cache = false;  // events say, too, why no more of the prompt was cached

  // When it should run (SequenceTerms).
  int32_t priority = 0;        // lower first; from SequenceTerms::batch_priority on: takes what is left
  int64_t arrival_us = 0;      // of clock_us(); 0: as it is submitted
  int64_t first_token_us = 0;  // wanted so long after the arrival; 0: as the session's policy has it
  uint64_t tenant = 0;
  int32_t tenant_weight = 1;
  bool measures = false;  // the program's own, to see how late it comes: no bound refuses it
};

/// What a step added to a sequence.
struct TokenEvent {
  SequenceId id = 0;
  SampledRow token;       // id −1 in an event that only ends the sequence, or tells of its prompt
  std::string_view text;  // new text that can be shown: whole characters, nothing that may yet become a stop text
  FinishReason finish = FinishReason::none;
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;                      // of the prompt: their keys and values were in the prefix cache
  int32_t new_tokens = 0;                         // so far
  int32_t prompt_done = 0;                        // of the prompt, with what was cached; where progress is told
  std::chrono::steady_clock::time_point started;  // its first step's; the epoch before it
  std::chrono::nanoseconds scheduling{0};         // of that step: the look for a prefix, and pages
  const PrefixExplanation* explained = nullptr;   // where that is wanted, once it has started
  std::string_view failure;                       // for FinishReason::failed
};

struct SessionOptions {
  int threads = 0;  // of a processor; 0: all available cores
  ExecutorOptions executor;
  int32_t prefill_chunk = 0;  // SchedulerLimits; 0: the engine's largest step
  SchedulerPolicy policy{.in_order = true};
  /// Prompts start behind what earlier ones have in common with them. Without, every prompt is computed whole.
  bool prefix_cache = true;
  /// Checks the weights beside the steps that follow the first token, and takes none of that one's time.
  bool check_weights = false;
};

/// What there is to do.
struct SessionLoad {
  int32_t waiting = 0, running = 0;  // requests
  double pages_held = 0;             // by sequences: the share of the cache group that has least left
  int64_t preemptions = 0;           // ever
};

/// The clock of arrivals, in µs.
int64_t clock_us();

class Session {
 public:
  Session(std::shared_ptr<const Engine> engine, const SessionOptions& options);
  ~Session();

  using Listener = std::function<void(const TokenEvent&)>;
  /// Queues a request; `listener` is called from step(). Throws Error when it can never run: an empty prompt, an id
  /// outside the vocabulary, a prompt longer than the context, sampling parameters out of range. A fork (of a
  /// sequence's id) starts once that one's prompt is on its way, or that one has ended.
  SequenceId submit(Request request, Listener listener);
  /// Throws as submit() does. From any thread: it looks at nothing that changes.
  void check(const Request& request) const;
  /// Ends a request at once with FinishReason::cancelled (the listener hears it in the next step).
  void cancel(SequenceId id);
  /// Ends all requests with FinishReason::failed, when a step could not be run.
  void abandon(std::string_view why);
  /// Runs one step, keeping the next one in flight; false when there is nothing left to do. Throws Error when weights
  /// have been found altered: nothing that the session has computed is to be trusted. `longest_us`: as of
  /// Scheduler::schedule.
  bool step(int64_t longest_us = INT64_MAX);
  /// The least that the next step takes, for whoever shares the device out.
  StepWish least_step() const;
  bool in_flight() const;
  /// Waits for the steps in flight, so that the device is idle.
  void settle();
  /// When a request that came now would have its first token, in µs from now, behind `pending_tokens` of prompts that
  /// were not submitted yet; 0: nothing is known of steps. From any thread.
  int64_t predict_first_token(const Request& request, int64_t pending_tokens) const;

  // ---- what steps take
  const SchedulerLimits& scheduler_limits() const;
  const StepCosts& costs() const;
  void set_costs(StepCosts costs);
  /// Times a step of that shape, with pages that nobody uses and no request running; nothing when something runs, or
  /// when there are not as many pages.
  std::optional<int64_t> time_step(const StepCosts::Cell& cell);

  // ---- what prompts have left in the cache
  /// The texts that are in use, and then those that were used last, `most_tokens` in all.
  std::vector<PrefixCache::Text> latest_texts(size_t most_tokens) const;
  /// Gives the memory of all pages back to the system; where something runs, it does nothing and says false.
  bool drop_prefixes();

  /// Goes on with the check of the weights, if there is one, for no longer than that. Throws Error as step().
  void finish_check(std::chrono::milliseconds longest);
  /// Steps until nothing is left.
  void run();

  /// Steps of one's own may follow the session's, but a session with a prefix cache may not run after them.
  Executor& executor();
  const Tokenizer* tokenizer() const;  // null when the engine has none
  std::span<const int32_t> end_ids() const;
  SessionLoad load() const;
  /// The engine's generation defaults as sampling parameters (temperature, top_p, …; greedy where it says so).
  SamplingParameters default_sampling() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
