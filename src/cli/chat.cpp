#include "cli/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "jinja/jinja_template.h"
#include "openai/chat_variables.h"

namespace incipit::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string_view template_of(const Engine& engine) {
  if (engine.chat_template().empty()) {
    throw Error(engine.path().string(), "the engine has no chat template",
                "build it from a model with a chat_template.jinja or a tokenizer_config.json that has one");
  }
  return engine.chat_template();
}

/// One answer, as it came.
struct Answer {
  std::string text;
  FinishReason finish = FinishReason::none;
  std::string failure;
  int32_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  Clock::time_point submitted, first, last;
};

std::string describe(const Answer& answer) {
  const auto milliseconds = [](Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
  };
  if (answer.new_tokens == 0) return fmt::format("no token; {}", name_of(answer.finish));
  std::string line =
      fmt::format("TTFT {:.1f} ms for {} tokens, {} of them cached", milliseconds(answer.submitted, answer.first),
                  answer.prompt_tokens, answer.cached_tokens);
  if (answer.new_tokens > 1) {
    line += fmt::format("; then {:.1f} tokens/s", 1e3 * static_cast<double>(answer.new_tokens - 1) /
                                                      std::max(1e-3, milliseconds(answer.first, answer.last)));
  }
  return line + fmt::format(" ({} tokens, {})", answer.new_tokens, name_of(answer.finish));
}

class Chat {
 public:
  Chat(Session& session, const ChatOptions& options)
      : session_(session),
        options_(options),
        tokenizer_(tokenizer_of(session)),
        template_(template_of(session.executor().engine()), session.executor().engine().path().string() + ": template"),
        variables_(chat_variables(session.executor().engine())),
        context_(session.executor().limits().max_context) {
    for (const auto& [name, value] : options.template_arguments) variables_[name] = value;
    if (options.system) begin_with(*options.system);
  }

  /// One turn of the user's, and the answer to it.
  void say(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    const std::vector<int32_t> prompt = fitting_prompt();
    if (prompt.empty()) {
      messages_.pop_back();
      return;
    }
    const Answer answer = generate(prompt);
    print("\n");
    tell(describe(answer));
    if (answer.finish == FinishReason::failed) throw Error("request", answer.failure, "please report this");
    messages_.push_back({{"role", "assistant"}, {"content", answer.text}});
  }

 private:
  /// A system prompt that leaves no room for the shortest message is refused before anything is said.
  void begin_with(const std::string& system) {
    if (valid_utf8_prefix(system) != system.size()) throw Error("--system", "is not UTF-8", "give UTF-8 text");
    messages_.push_back({{"role", "system"}, {"content", system}});
    first_turn_ = messages_.size();
    messages_.push_back({{"role", "user"}, {"content", "."}});
    if (const size_t tokens = encode().size(); tokens >= static_cast<size_t>(context_)) {
      throw Error("--system", fmt::format("it makes {} tokens, and the context holds {}", tokens, context_),
                  "give a shorter one, or build the engine with a larger --max-context");
    }
    messages_.pop_back();
  }

  std::vector<int32_t> encode() {
    variables_["messages"] = messages_;
    // The template writes all special tokens itself.
    return tokenizer_.encode(template_.render(variables_), {.add_special_tokens = false});
  }

  /// The conversation's ids, without its oldest turns when they leave no room for an answer; none when the last message
  /// alone is too long, which is told.
  std::vector<int32_t> fitting_prompt() {
    const int32_t wanted = options_.request.max_new_tokens;
    const int32_t least_room = std::max(1, context_ / 4);
    const int32_t room = wanted == 0 ? least_room : std::min(wanted, least_room);
    const boost::json::array whole = messages_;
    std::vector<int32_t> ids = encode();
    int dropped = 0;
    while (static_cast<int32_t>(ids.size()) > context_ - room && messages_.size() > first_turn_ + 1) {
      // A question and its answer, so that the roles go on in turn.
      const auto first = messages_.begin() + static_cast<std::ptrdiff_t>(first_turn_);
      messages_.erase(first, first + 2);
      ++dropped;
      ids = encode();
    }
    if (static_cast<int32_t>(ids.size()) >= context_) {
      tell(fmt::format("this message makes {} tokens, and the context holds {}: say less at once", ids.size(),
                       context_));
      messages_ = whole;
      return {};
    }
    if (dropped > 0) {
      tell(fmt::format("the conversation has outgrown the context of {} tokens: its oldest {} left out", context_,
                       dropped == 1 ? "turn is" : fmt::format("{} turns are", dropped)));
    }
    return ids;
  }

  Answer generate(const std::vector<int32_t>& prompt) {
    Request request = options_.request;
    request.prompt = prompt;
    Answer answer;
    answer.prompt_tokens = static_cast<int32_t>(prompt.size());
    answer.submitted = Clock::now();
    std::exception_ptr broken;
    const SequenceId id = session_.submit(std::move(request), [&](const TokenEvent& event) {
      if (event.token.id >= 0) {
        answer.last = Clock::now();
        if (answer.new_tokens == 0) answer.first = answer.last;
        ++answer.new_tokens;
      }
      answer.text += event.text;
      answer.finish = event.finish;
      answer.cached_tokens = event.cached_tokens;
      answer.failure = event.failure;
      if (broken || event.text.empty()) return;
      try {
        print(event.text);
      } catch (const Error&) {
        broken = std::current_exception();  // nobody reads on: the loop below ends
      }
    });
    try {
      while (session_.step()) {
        if (interrupted() || broken) session_.cancel(id);
      }
    } catch (const Error&) {
      if (!broken) print("\n");
      throw;
    }
    if (broken) std::rethrow_exception(broken);
    return answer;
  }

  Session& session_;
  const ChatOptions& options_;
  const Tokenizer& tokenizer_;
  JinjaTemplate template_;
  boost::json::object variables_;
  boost::json::array messages_;
  size_t first_turn_ = 0;  // in messages_: behind the system's
  int32_t context_;
};

}  // namespace

int run_chat(Session& session, const ChatOptions& options) {
  Chat chat(session, options);
  LineReader reader;
  if (reader.is_terminal()) tell("Ctrl-C stops an answer, Ctrl-D ends the conversation");
  std::string line;
  while (true) {
    const LineReader::Got got = reader.read(line);
    if (got == LineReader::Got::end) {
      finish_check(session);
      return 0;
    }
    if (got == LineReader::Got::interrupt) {
      if (reader.is_terminal() && take_ctrl_c()) continue;
      return exit_interrupted();
    }
    if (line.ends_with('\r')) line.pop_back();
    if (const size_t valid = valid_utf8_prefix(line); valid != line.size()) {
      tell(fmt::format("this message is not UTF-8 at byte {}, and is left out: say it in UTF-8", valid + 1));
      continue;
    }
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    chat.say(line);
    if (interrupted() && !take_ctrl_c()) return exit_interrupted();
  }
}

}  // namespace incipit::cli
