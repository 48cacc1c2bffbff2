#include "cli/answer.h"

#include <exception>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "cli/options.h"

namespace incipit::cli {

double milliseconds(Answer::Clock::time_point from, Answer::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

Answer answer(Gateway& gateway, Request request, bool show) {
  constexpr auto patience = std::chrono::milliseconds(20);  // between looks for Ctrl-C
  Answer answer;
  answer.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  answer.submitted = Answer::Clock::now();
  TokenStream stream(gateway, std::move(request));
  std::exception_ptr broken;  // nobody reads on
  for (bool cancelled = false; answer.finish == FinishReason::none;) {
    if (!cancelled && (interrupted() || broken)) {
      stream.cancel();
      cancelled = true;
    }
    const std::optional<StreamUpdate> update = stream.next(patience);
    if (!update) continue;
    if (answer.ids.empty() && !update->ids.empty()) answer.first = update->times.front();
    if (!update->ids.empty()) answer.last = update->times.back();
    answer.ids.insert(answer.ids.end(), update->ids.begin(), update->ids.end());
    answer.text += update->text;
    answer.finish = update->finish;
    answer.cached_tokens = update->cached_tokens;
    answer.failure = update->failure;
    if (!show || broken || update->text.empty()) continue;
    try {
      print(update->text);
    } catch (const Error&) {
      broken = std::current_exception();
    }
  }
  if (broken) std::rethrow_exception(broken);
  try {
    gateway.check();
  } catch (const Error&) {
    if (show) print("\n");
    throw;
  }
  return answer;
}

}  // namespace incipit::cli
