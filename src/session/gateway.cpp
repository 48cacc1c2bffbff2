#include "session/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <future>
#include <map>
#include <thread>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/progress.h"

namespace incipit {
namespace {

struct Submission {
  RequestId id;
  Request request;
  Session::Listener listener;
};
struct Cancellation {
  RequestId id;
};
struct AloneWork {
  const std::function<void(Session&)>* work;
  bool only_if_idle;
  std::promise<bool>* done;  // whether it was carried out
};
struct Look {
  const std::function<void(Session&)>* work;
  std::promise<void>* done;
};
using Command = std::variant<Submission, Cancellation, AloneWork, Look>;

}  // namespace

struct Gateway::State {
  explicit State(const GatewayOptions& with)
      : options(with), lease(with.lease ? with.lease : std::make_shared<DeviceLease>(0)), place(lease->join()) {}

  GatewayOptions options;
  const std::shared_ptr<DeviceLease> lease;
  const DeviceLease::Engine place;
  std::optional<Session> session;  // the engine's thread's, but for what does not change

  std::mutex mutex;
  std::condition_variable woken;
  // Under the mutex.
  std::deque<Command> commands;
  size_t requests = 0;         // submitted and not finished
  int64_t pending_tokens = 0;  // of prompts in `commands`
  RequestId next_id = 1;
  bool stopping = false;
  std::exception_ptr broken;  // the first step that could not be run
  SessionLoad load;           // as of the last step

  std::map<RequestId, SequenceId> running;  // the engine's thread's
  std::thread thread;                       // last: it uses all of the above

  void push(Command command) {
    {
      const std::lock_guard lock(mutex);
      commands.push_back(std::move(command));
    }
    woken.notify_one();
  }

  /// The next command; nothing when there is none to take now. Waits for one while nothing runs. Work that wants the
  /// engine alone lets nobody before it.
  std::optional<Command> take() {
    std::unique_lock lock(mutex);
    if (running.empty()) woken.wait(lock, [&] { return stopping || !commands.empty(); });
    if (commands.empty() || stopping) return {};
    const auto* alone = std::get_if<AloneWork>(&commands.front());
    if (alone != nullptr && !alone->only_if_idle && !running.empty()) return {};
    Command command = std::move(commands.front());
    commands.pop_front();
    if (const auto* submission = std::get_if<Submission>(&command)) {
      pending_tokens -= static_cast<int64_t>(submission->request.prompt.size());
    }
    return command;
  }

  /// Opens the session, too: the processor's workers arrange themselves around the thread that makes them.
  void work(std::shared_ptr<const Engine> engine, std::promise<void>& opened) {
    try {
      session.emplace(std::move(engine), options.session);
    } catch (...) {
      opened.set_exception(std::current_exception());
      return;
    }
    opened.set_value();
    while (true) {
      while (std::optional<Command> command = take()) {
        std::visit([&](auto& one) { carry_out(one); }, *command);
      }
      {
        const std::lock_guard lock(mutex);
        if (stopping) break;
      }
      step();
    }
    for (const auto& [id, sequence] : running) session->cancel(sequence);
    while (!running.empty()) step();
    for (Command& command : std::exchange(commands, {})) {
      if (auto* submission = std::get_if<Submission>(&command)) refuse(*submission, FinishReason::cancelled, {});
    }
  }

  /// The engine's thread does not end with an exception, whatever it is: the requests do.
  void step() {
    const int64_t longest_us = lease->take(place, session->least_step());
    try {
      session->step(longest_us);
      // Nothing is left in flight for those who have the device next.
      if (running.empty() || lease->is_wanted(place)) session->settle();
    } catch (const std::exception& error) {
      {
        const std::lock_guard lock(mutex);
        if (!broken) broken = std::current_exception();
      }
      session->abandon(error.what());
    }
    if (running.empty() || !session->in_flight()) lease->give_back(place, !running.empty());
    const SessionLoad now = session->load();
    const std::lock_guard lock(mutex);
    load = now;
  }

  void carry_out(Submission& submission) {
    const RequestId id = submission.id;
    try {
      const auto parent = running.find(submission.request.fork_of);
      submission.request.fork_of = parent == running.end() ? 0 : static_cast<uint64_t>(parent->second);
      const SequenceId sequence = session->submit(std::move(submission.request),
                                                  [this, id, listener = submission.listener](const TokenEvent& event) {
                                                    TokenEvent own = event;
                                                    own.id = static_cast<SequenceId>(id);
                                                    const bool ends = event.finish != FinishReason::none;
                                                    if (ends) forget(id);
                                                    try {
                                                      listener(own);
                                                    } catch (...) {
                                                      if (!ends) forget(id);  // the session drops the request
                                                      throw;
                                                    }
                                                  });
      running.emplace(id, sequence);
    } catch (const std::exception& error) {
      refuse(submission, FinishReason::failed, error.what());
    }
  }
  void carry_out(Cancellation& cancellation) {
    if (const auto found = running.find(cancellation.id); found != running.end()) session->cancel(found->second);
  }
  void carry_out(AloneWork& alone) {
    bool has_device = false;
    if (alone.only_if_idle) {
      has_device = running.empty() && lease->take_if_idle(place);
      if (!has_device) return alone.done->set_value(false);
    } else {
      lease->take(place, {});
    }
    std::exception_ptr failure;
    try {
      (*alone.work)(*session);
    } catch (...) {
      failure = std::current_exception();
    }
    lease->give_back(place, false);
    failure ? alone.done->set_exception(failure) : alone.done->set_value(true);
  }

  void carry_out(Look& look) {
    try {
      (*look.work)(*session);
      look.done->set_value();
    } catch (...) {
      look.done->set_exception(std::current_exception());
    }
  }

  void forget(RequestId id) {
    running.erase(id);
    const std::lock_guard lock(mutex);
    --requests;
  }

  /// Refuses a request whose first token would come later than wanted. A deadline of its own also says when it should
  /// start; that of all is only a limit.
  void check_first_token(const Request& request) {
    if (request.measures) return;
    int64_t limit = options.most_first_token_us;
    if (request.first_token_us > 0) {
      limit = limit > 0 ? std::min(limit, request.first_token_us) : request.first_token_us;
    }
    if (limit == 0) return;
    int64_t pending = 0;
    bool is_alone = false;
    {
      const std::lock_guard lock(mutex);
      pending = pending_tokens;
      is_alone = requests == 0;
    }
    // Engines that share the device have it in turns.
    const int64_t predicted =
        session->predict_first_token(request, pending) * static_cast<int64_t>(lease->sharers(place));
    if (predicted <= limit) return;
    constexpr int64_t soonest_ms = 100, latest_ms = 60'000;
    // What comes too late though nobody is before it comes too late whenever it is asked for.
    const int64_t retry_ms = is_alone ? 0 : std::clamp((predicted - limit) / 1000, soonest_ms, latest_ms);
    throw Overloaded(
        session->executor().engine().path().string(),
        fmt::format("the first token would come after {} ms, and {} ms are allowed", predicted / 1000, limit / 1000),
        is_alone ? "shorten the prompt, or allow more" : fmt::format("try again after {} ms", retry_ms),
        predicted / 1000, retry_ms);
  }

  /// Ends a request that never ran.
  void refuse(const Submission& submission, FinishReason finish, std::string_view failure) {
    {
      const std::lock_guard lock(mutex);
      --requests;
    }
    TokenEvent event;
    event.id = static_cast<SequenceId>(submission.id);
    event.finish = finish;
    event.failure = failure;
    try {
      submission.listener(event);
    } catch (const std::exception& error) {
      log_warning("request {}'s listener failed: {}", submission.id, error.what());
    }
  }
};

Gateway::Gateway(std::shared_ptr<const Engine> engine, const GatewayOptions& options)
    : state_(std::make_shared<State>(options)) {
  std::promise<void> opened;
  state_->thread = std::thread([&, state = state_] { state->work(std::move(engine), opened); });
  try {
    opened.get_future().get();
  } catch (...) {
    state_->thread.join();
    throw;
  }
}

Gateway::~Gateway() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->woken.notify_one();
  // The last request may have been its last owner: then its thread goes on by itself to its end.
  if (state_->thread.get_id() == std::this_thread::get_id()) {
    state_->thread.detach();
  } else {
    state_->thread.join();
  }
}

RequestId Gateway::submit(Request request, Session::Listener listener) {
  State& state = *state_;
  check();
  state.session->check(request);
  if (request.arrival_us == 0) request.arrival_us = clock_us();
  state.check_first_token(request);
  RequestId id = 0;
  {
    const std::lock_guard lock(state.mutex);
    if (state.requests >= state.options.most_requests) {
      throw Overloaded(state.session->executor().engine().path().string(),
                       fmt::format("{} requests wait or run already", state.requests), "try again later");
    }
    ++state.requests;
    id = state.next_id++;
    state.pending_tokens += static_cast<int64_t>(request.prompt.size());
    state.commands.emplace_back(Submission{id, std::move(request), std::move(listener)});
  }
  state.woken.notify_one();
  return id;
}

void Gateway::cancel(RequestId id) { state_->push(Cancellation{id}); }

void Gateway::check() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->broken) std::rethrow_exception(state_->broken);
}

SessionLoad Gateway::load() const {
  const std::lock_guard lock(state_->mutex);
  SessionLoad load = state_->load;
  load.waiting = static_cast<int32_t>(state_->requests) - load.running;
  load.waiting = std::max(load.waiting, 0);
  return load;
}

void Gateway::run_alone(const std::function<void(Session&)>& work) {
  std::promise<bool> done;
  state_->push(AloneWork{&work, false, &done});
  done.get_future().get();
}

void Gateway::look(const std::function<void(Session&)>& work) {
  std::promise<void> done;
  state_->push(Look{&work, &done});
  done.get_future().get();
}

bool Gateway::run_if_idle(const std::function<void(Session&)>& work) {
  std::promise<bool> done;
  state_->push(AloneWork{&work, true, &done});
  return done.get_future().get();
}

const Engine& Gateway::engine() const { return state_->session->executor().engine(); }
const Tokenizer* Gateway::tokenizer() const { return state_->session->tokenizer(); }
const ExecutorLimits& Gateway::limits() const { return state_->session->executor().limits(); }
SamplingParameters Gateway::default_sampling() const { return state_->session->default_sampling(); }
int Gateway::workers() const { return state_->session->executor().device().workers(); }
Executor::Memory Gateway::memory() const { return state_->session->executor().memory(); }

struct TokenStream::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<StreamUpdate> unread;
  bool at_end = false;  // what is unread waits for the end

  bool is_ready() const { return unread && (!at_end || unread->finish != FinishReason::none); }

  void add(const TokenEvent& event) {
    bool ready = false;
    {
      const std::lock_guard lock(mutex);
      if (!unread) unread.emplace();
      if (event.token.id >= 0) {
        unread->ids.push_back(event.token.id);
        unread->times.push_back(StreamUpdate::Clock::now());
      }
      unread->text += event.text;
      unread->finish = event.finish;
      unread->prompt_tokens = event.prompt_tokens;
      unread->cached_tokens = event.cached_tokens;
      unread->new_tokens = event.new_tokens;
      unread->failure = event.failure;
      ready = is_ready();
    }
    if (ready) changed.notify_one();
  }
};

TokenStream::TokenStream(Gateway& gateway, Request request) : gateway_(gateway), shared_(std::make_shared<Shared>()) {
  id_ = gateway.submit(std::move(request), [shared = shared_](const TokenEvent& event) { shared->add(event); });
}

TokenStream::~TokenStream() {
  if (!ended_) cancel();
}

std::optional<StreamUpdate> TokenStream::next(std::chrono::nanoseconds timeout) {
  INCIPIT_ASSERT(!ended_);
  std::unique_lock lock(shared_->mutex);
  if (!shared_->changed.wait_for(lock, timeout, [&] { return shared_->is_ready(); })) return {};
  std::optional<StreamUpdate> update = std::exchange(shared_->unread, std::nullopt);
  ended_ = update->finish != FinishReason::none;
  return update;
}

StreamUpdate TokenStream::read_to_end() {
  constexpr auto patience = std::chrono::milliseconds(20);  // between looks for Ctrl-C
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->at_end = true;
  }
  while (true) {
    check_interrupt();
    if (std::optional<StreamUpdate> all = next(patience)) {
      gateway_.check();
      return std::move(*all);
    }
  }
}

void TokenStream::cancel() { gateway_.cancel(id_); }

}  // namespace incipit
