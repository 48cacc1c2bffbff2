// A request for text: from its body to the last token of its last choice.
//
//   server's thread ──▶ work threads: read, render, tokenise, submit ──▶ engine's thread: add() ──▶ server's thread:
//   next()
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "measure/request_record.h"
#include "openai/answer_body.h"
#include "server/call.h"
#include "server/choice_times.h"
#include "server/services.h"

namespace incipit {

class Generation : public BodySource, public std::enable_shared_from_this<Generation> {
 public:
  using Clock = HttpRequest::Clock;

  /// Starts one, or refuses it. On the server's thread.
  static void start(std::shared_ptr<Services> services, std::shared_ptr<Call> call, bool chat);

  Generation(std::shared_ptr<Services> services, std::shared_ptr<Call> call, bool chat,
             std::shared_ptr<void> admission);
  ~Generation() override;
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // The source of a stream. What a slow client has not taken is kept as one piece a choice, which is no longer than the
  // model's context.
  std::string next() override;
  bool ended() const override { return ended_; }
  bool broken() const override { return broken_; }
  std::string sign_of_life() override;

 private:
  void prepare();
  void read_body();
  void submit();
  void add(size_t choice, const TokenEvent& event);
  void count(const ChoiceTimes& before, const TokenEvent& event, Clock::time_point now);
  void count_stages(const ChoiceTimes& choice);
  void answer_whole();
  void leave();
  void cancel();
  void record_request();
  ApiError fault_of(FinishReason finish, const std::string& failure) const;
  TokenUsage usage() const;
  PromptProgress progress() const;
  Clock::time_point first_token() const;
  boost::json::object timings_of(const ChoiceTimes& choice) const;
  std::vector<HttpHeader> server_timing() const;

  const std::shared_ptr<Services> services_;
  const std::shared_ptr<Call> call_;
  const bool chat_;
  const std::shared_ptr<void> admission_;

  // Set before anything is submitted.
  std::shared_ptr<const ServedModel> model_;
  RequestBody body_;
  std::optional<AnswerWriter> writer_;
  RequestTimes times_;

  std::mutex mutex_;
  // Under the mutex.
  std::vector<ChoiceOutput> outputs_;  // what was not told yet
  std::vector<ChoiceTimes> choices_;   // of a prompt each, those of one prompt side by side
  std::vector<RequestId> ids_;
  FinishReason finish_ = FinishReason::none;  // of the choice that ended last
  std::string failure_;
  size_t unfinished_ = 0;
  bool left_ = false;
  std::vector<RecordedChoice> recorded_;  // of a choice each, where requests are recorded

  // The server's thread's.
  std::vector<bool> finished_;  // choices whose end was told
  int64_t told_progress_ = -1;  // tokens of prompts that were done
  bool ended_ = false, broken_ = false;
};

}  // namespace incipit
