#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "openai/fields.h"
#include "server/cache_explanation.h"
#include "server/conversation.h"
#include "server/recorder.h"
#include "session/check_request.h"

namespace incipit {
namespace {

std::string event_of(std::string_view data) { return fmt::format("data: {}\n\n", data); }

std::string stage_of(std::string_view name, std::chrono::nanoseconds time) {
  return fmt::format("{};dur={:.3f}", name, std::chrono::duration<double, std::milli>(time).count());
}

/// After how many µs at most a client wants its first token: by our header's name, or that of Kubernetes' inference
/// gateway. 0: it does not say.
int64_t first_token_deadline(const HttpRequest& request) {
  for (const char* const name : {"x-ttft-deadline-ms", "x-llm-d-slo-ttft-ms"}) {
    const std::string* given = request.header(name);
    if (given == nullptr) continue;
    double ms = 0;
    const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), ms);
    constexpr double most = 1e9;
    if (error != std::errc() || end != given->data() + given->size() || !(ms > 0) || ms > most) {
      throw BadRequest(name, fmt::format("'{}' must be a number of milliseconds above 0", name));
    }
    return std::max<int64_t>(1, static_cast<int64_t>(ms * 1000));
  }
  return 0;
}

}  // namespace

void Generation::start(std::shared_ptr<Services> services, std::shared_ptr<Call> call, bool chat) {
  if (services->draining()) {
    call->fail({503, "the server is stopping", "server_error", "", "stopping", 1000});
    return;
  }
  std::shared_ptr<void> admission = services->admit();
  if (!admission) {
    call->fail({429, fmt::format("the server has {} requests, and takes no more", services->most_requests()),
                "rate_limit_error", "", "overloaded", 1000});
    return;
  }
  const auto one = std::make_shared<Generation>(services, call, chat, std::move(admission));
  call->exchange().on_leave([weak = one->weak_from_this()] {
    if (const auto self = weak.lock()) self->leave();
  });
  services->work().add([one] { one->prepare(); });
}

Generation::Generation(std::shared_ptr<Services> services, std::shared_ptr<Call> call, bool chat,
                       std::shared_ptr<void> admission)
    : services_(std::move(services)), call_(std::move(call)), chat_(chat), admission_(std::move(admission)) {}

/// Nobody else has it any more: the access log is told what came of it.
Generation::~Generation() {
  if (!model_) return;
  AccessRecord& record = call_->record();
  const TokenUsage sum = usage();
  record.model = model_->full_name();
  record.finish = name_of(finish_);
  record.prompt_tokens = sum.prompt_tokens;
  record.cached_tokens = sum.cached_tokens;
  record.new_tokens = sum.new_tokens;
  record.first_token = first_token();
  if (!choices_.empty() && choices_.front().explained) {
    record.cache = explanation_object(*choices_.front().explained, model_->tokenizer, ExplainedSalts::all);
  }
  if (left_ && !services_->draining()) call_->set_left();
  const bool admitted = !recorded_.empty() && ids_.size() == recorded_.size();
  if (admitted) record_request();
}

/// Nothing is done with the body any more.
void Generation::record_request() {
  RecordedRequest request;
  request.id = call_->request_id();
  request.endpoint = call_->request().path;
  request.model = model_->full_name();
  const TokenUsage sum = usage();
  request.prompt_tokens = sum.prompt_tokens;
  request.cached_tokens = sum.cached_tokens;
  request.stream = body_.stream;
  for (std::vector<int32_t>& ids : body_.prompts) {
    const auto tokens = static_cast<int32_t>(ids.size());
    request.prompts.push_back({tokens, std::move(ids), {}});
  }
  for (size_t i = 0; i < recorded_.size(); ++i) {
    const ChoiceTimes& times = choices_[i];
    recorded_[i].seed = body_.seed_of(i);
    recorded_[i].new_tokens = times.new_tokens;
    if (times.first_token == Clock::time_point()) continue;
    recorded_[i].first_token_ms = std::chrono::duration<double, std::milli>(times.first_token - times_.begun).count();
  }
  request.choices = std::move(recorded_);
  request.terms = std::move(body_.request);
  services_->recorder()->add(std::move(request), times_.begun);
}

// ---- a work thread

void Generation::prepare() {
  try {
    read_body();
    submit();
    if (body_.stream) call_->stream(shared_from_this(), server_timing());
  } catch (const ApiError& error) {
    call_->fail(error);
  } catch (const BadRequest& fault) {
    call_->fail(api_error(fault));
  } catch (const Overloaded& error) {
    call_->fail({429, error.fault(), "rate_limit_error", "", error.predicted_ms() > 0 ? "ttft_exceeded" : "overloaded",
                 error.retry_ms(), error.predicted_ms()});
  } catch (const UnfitRequest& unfit) {
    call_->fail(api_error(bad_request_of(unfit, chat_)));
  } catch (const Error& error) {
    call_->fail({400, error.what(), "invalid_request_error"});
  } catch (const std::exception& error) {
    log_error("request {} failed: {}", call_->request_id(), error.what());
    call_->fail({500, error.what()});
  }
}

void Generation::read_body() {
  times_.begun = call_->request().begun;
  times_.received = call_->request().received;
  times_.preparing = Clock::now();
  boost::json::value parsed;
  try {
    parsed = parse_json(call_->request().body, "the body", LargeIntegers::kept);
  } catch (const Error& error) {
    throw BadRequest("", error.what());
  }
  times_.parsed = Clock::now();
  const boost::json::object& fields = fields::object_of(parsed, "body");
  const boost::json::value* name = fields::given(fields, "model");
  model_ = require_model(services_->models(), name == nullptr ? "" : fields::text_of(*name, "model"),
                         conversation_of(fields, call_->caller().key));
  BodyContext context = model_->context();
  context.seed = services_->random();
  body_ = read_request_body(fields, chat_, context);
  if (body_.model.empty()) body_.model = model_->name;
  // What one key's prompts have left in the cache, another's would find out by its time.
  body_.request.cache_salt += 0x9e3779b97f4a7c15u * call_->caller().key;
  body_.request.tenant = call_->caller().tenant;
  body_.request.tenant_weight = call_->caller().weight;
  body_.request.first_token_us = first_token_deadline(call_->request());
  for (const std::vector<int32_t>& prompt : body_.prompts) {
    if (prompt.size() <= static_cast<size_t>(model_->max_context)) continue;
    throw BadRequest(
        chat_ ? "messages" : "prompt",
        fmt::format("the prompt has {} tokens, and the model's context {}", prompt.size(), model_->max_context),
        "context_length_exceeded");
  }
  writer_.emplace(body_, model_->tokenizer, fmt::format("{}-{:016x}", chat_ ? "chatcmpl" : "cmpl", services_->random()),
                  body_.model, std::time(nullptr), model_->fingerprint);
}

void Generation::submit() {
  const size_t choices = body_.choices();
  outputs_.resize(choices);
  choices_.resize(choices);
  finished_.resize(choices);
  if (services_->recorder()) recorded_.resize(choices);
  for (size_t i = 0; i < choices; ++i) outputs_[i].choice = i;
  unfinished_ = choices;
  times_.render = body_.render_time;
  times_.tokenise = body_.tokenise_time;
  times_.submitted = Clock::now();
  try {
    model_->source->check();
  } catch (const Error& error) {
    throw ApiError{500, error.what()};
  }
  RequestId first = 0;  // of a prompt's choices
  for (size_t i = 0; i < choices; ++i) {
    RequestId id = 0;
    try {
      Request request = body_.request_of(i);
      request.explain_cache = services_->explain_cache() && i == 0;
      // The other choices of a prompt begin where the first one's prompt ends.
      if (i % static_cast<size_t>(body_.n) == 0) {
        first = 0;
      } else {
        request.fork_of = first;
      }
      id = model_->source->submit(std::move(request),
                                  [self = shared_from_this(), i](const TokenEvent& event) { self->add(i, event); });
      if (first == 0) first = id;
    } catch (...) {
      cancel();  // those that were submitted go
      throw;
    }
    bool left = false;
    {
      const std::lock_guard lock(mutex_);
      ids_.push_back(id);
      left = left_;
    }
    if (left) model_->source->cancel(id);
  }
}

// ---- the engine's thread

void Generation::add(size_t choice, const TokenEvent& event) {
  bool over = false;
  const Clock::time_point now = Clock::now();
  const bool is_news = event.token.id >= 0 || event.finish != FinishReason::none || body_.return_progress;
  {
    const std::lock_guard lock(mutex_);
    count(choices_[choice], event, now);
    choices_[choice].add(event, now);
    if (event.finish != FinishReason::none) count_stages(choices_[choice]);
    ChoiceOutput& output = outputs_[choice];
    output.text += event.text;
    if (event.token.id >= 0 && (body_.logprobs || body_.return_token_ids)) output.tokens.push_back(event.token);
    output.finish = event.finish;
    if (!recorded_.empty()) {
      if (services_->recorder()->with_texts()) recorded_[choice].text += event.text;
      recorded_[choice].finish = event.finish;
    }
    if (event.finish == FinishReason::failed) failure_ = event.failure;
    if (event.finish != FinishReason::none) {
      finish_ = event.finish;
      over = --unfinished_ == 0;
    }
    if (over) {
      const auto longest = std::ranges::max_element(choices_, {}, &ChoiceTimes::new_tokens);
      model_->metrics->most_generated_tokens.add(longest->new_tokens);
    }
  }
  if (body_.stream) {
    if (is_news) call_->exchange().wake();
  } else if (over) {
    services_->work().add([self = shared_from_this()] { self->answer_whole(); });
  }
}

void Generation::count(const ChoiceTimes& before, const TokenEvent& event, Clock::time_point now) {
  const auto seconds_since = [&](Clock::time_point then) { return std::chrono::duration<double>(now - then).count(); };
  const Clock::time_point received = call_->request().received;
  ModelMetrics& metrics = *model_->metrics;
  if (event.token.id >= 0) {
    if (before.last_token == Clock::time_point()) {
      metrics.first_token.add(seconds_since(received));
      model_->window->add_first_token(event.prompt_tokens, event.cached_tokens, 1000 * seconds_since(received));
    } else {
      metrics.between_tokens.add(seconds_since(before.last_token));
      model_->window->add_gap(1000 * seconds_since(before.last_token));
    }
  }
  if (event.finish == FinishReason::none) return;
  model_->window->add_end(event.finish == FinishReason::failed);
  metrics.add_finished(event.finish, seconds_since(received), event.prompt_tokens, event.cached_tokens,
                       event.new_tokens);
}

void Generation::count_stages(const ChoiceTimes& choice) {
  if (choice.started == Clock::time_point() || choice.first_token == Clock::time_point()) return;
  const auto seconds_until = [&](Clock::time_point then) {
    return std::chrono::duration<double>(then - times_.submitted).count();
  };
  model_->metrics->add_stages(seconds_until(choice.started), seconds_until(choice.first_token),
                              seconds_until(choice.last_token), choice.new_tokens);
}

// ---- the end of an answer that is not streamed: a work thread

void Generation::answer_whole() {
  const auto bad = std::ranges::find_if(outputs_, [](const ChoiceOutput& output) {
    return output.finish == FinishReason::failed || output.finish == FinishReason::cancelled;
  });
  if (bad != outputs_.end()) {
    call_->fail(fault_of(bad->finish, failure_));
    return;
  }
  boost::json::object answer = writer_->whole(outputs_, usage());
  if (body_.timings) answer["timings"] = timings_of(choices_.front());
  call_->respond(answer, server_timing());
}

ApiError Generation::fault_of(FinishReason finish, const std::string& failure) const {
  if (finish == FinishReason::failed) return {500, failure};
  if (services_->draining())
    return {503, "the server stopped before the answer's end", "server_error", "", "stopping", 1000};
  return {400, "the connection's other side was ended before the answer: keep it open", "invalid_request_error", "",
          "cancelled"};
}

TokenUsage Generation::usage() const {
  TokenUsage sum;
  for (size_t i = 0; i < choices_.size(); ++i) {
    sum.new_tokens += choices_[i].new_tokens;
    if (i % static_cast<size_t>(body_.n) != 0) continue;  // a prompt counts once
    sum.prompt_tokens += choices_[i].prompt_tokens;
    sum.cached_tokens += choices_[i].cached_tokens;
  }
  return sum;
}

PromptProgress Generation::progress() const {
  PromptProgress sum;
  Clock::time_point first = Clock::time_point::max(), last;
  for (size_t i = 0; i < choices_.size(); i += static_cast<size_t>(body_.n)) {
    const ChoiceTimes& one = choices_[i];
    sum.total += static_cast<int64_t>(body_.prompts[body_.prompt_of(i)].size());
    sum.cached += one.cached_tokens;
    sum.processed += one.prompt_done;
    if (one.started == Clock::time_point()) continue;
    first = std::min(first, one.started);
    if (!one.chunks.empty()) last = std::max(last, one.chunks.back().done);
  }
  if (last > first) sum.ms = std::chrono::duration<double, std::milli>(last - first).count();
  return sum;
}

/// What another key's prompts have left is none of the client's business.
boost::json::object Generation::timings_of(const ChoiceTimes& choice) const {
  boost::json::object timings = choice.timings(times_);
  if (choice.explained) {
    timings["cache"] = explanation_object(*choice.explained, model_->tokenizer, ExplainedSalts::own);
  }
  return timings;
}

/// Of whichever choice was first; the epoch where none came.
Generation::Clock::time_point Generation::first_token() const {
  Clock::time_point first;
  for (const ChoiceTimes& one : choices_) {
    if (one.first_token == Clock::time_point()) continue;
    first = first == Clock::time_point() ? one.first_token : std::min(first, one.first_token);
  }
  return first;
}

/// The stages that are known when an answer's head goes out.
std::vector<HttpHeader> Generation::server_timing() const {
  const HttpRequest& request = call_->request();
  std::string stages = stage_of("accept", request.received - request.begun) + ", " +
                       stage_of("wait", times_.preparing - request.received) + ", " +
                       stage_of("parse", times_.parsed - times_.preparing) + ", " +
                       stage_of("render", body_.render_time) + ", " + stage_of("tokenise", body_.tokenise_time);
  if (!body_.stream && first_token() != Clock::time_point()) {
    const Clock::time_point first = first_token();
    // Of the choice that came first, all that there is to say of its way is in the body's timings.
    const auto one = std::ranges::find(choices_, first, &ChoiceTimes::first_token);
    if (one->started != Clock::time_point()) {
      stages += ", " + stage_of("queue", one->started - one->scheduling - times_.submitted) + ", " +
                stage_of("lookup", one->scheduling) + ", " + stage_of("prefill", first - one->started);
    }
    stages += ", " + stage_of("first", first - times_.submitted) + ", " + stage_of("rest", Clock::now() - first);
  }
  return {{"server-timing", std::move(stages)}};
}

// ---- the server's thread

std::string Generation::next() {
  if (ended_) return {};
  std::vector<ChoiceOutput> news;
  std::vector<boost::json::object> timings;  // a piece of news each, where they are wanted
  PromptProgress done;
  bool over = false;
  std::string failure;
  {
    const std::lock_guard lock(mutex_);
    failure = failure_;
    if (body_.return_progress) done = progress();
    for (ChoiceOutput& output : outputs_) {
      if (finished_[output.choice]) continue;
      ChoiceOutput& own = news.emplace_back(std::exchange(output, {}));
      output.choice = own.choice;
      ChoiceTimes& times = choices_[own.choice];
      if (times.first_token != Clock::time_point() && times.first_write == Clock::time_point()) {
        times.first_write = Clock::now();
      }
      if (body_.timings) timings.push_back(timings_of(times));
    }
    over = unfinished_ == 0;
  }
  std::string events;
  if (body_.return_progress && done.processed > std::exchange(told_progress_, done.processed)) {
    events += event_of(writer_->progress_chunk(done));
  }
  for (size_t i = 0; i < news.size(); ++i) {
    const ChoiceOutput& output = news[i];
    if (output.finish == FinishReason::failed || output.finish == FinishReason::cancelled) {
      cancel();
      ended_ = broken_ = true;
      return events + event_of(boost::json::serialize(body_of(fault_of(output.finish, failure))));
    }
    finished_[output.choice] = output.finish != FinishReason::none;
    if (output.text.empty() && output.tokens.empty() && !finished_[output.choice]) continue;
    for (const std::string& chunk : writer_->chunks(output, body_.timings ? &timings[i] : nullptr)) {
      events += event_of(chunk);
    }
  }
  if (!over) return events;
  ended_ = true;
  const std::lock_guard lock(mutex_);
  if (body_.include_usage) events += event_of(writer_->usage_chunk(usage()));
  return events + event_of("[DONE]");
}

std::string Generation::sign_of_life() { return ": nothing new yet\n\n"; }

void Generation::leave() {
  {
    const std::lock_guard lock(mutex_);
    left_ = true;
  }
  cancel();
}

void Generation::cancel() {
  std::vector<RequestId> ids;
  {
    const std::lock_guard lock(mutex_);
    ids = ids_;
  }
  for (const RequestId id : ids) model_->source->cancel(id);
}

}  // namespace incipit
