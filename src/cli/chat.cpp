#include "cli/chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/progress.h"
#include "cli/chat_variables.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "text/template/chat_template.h"
#include "text/utf8.h"

namespace incipit::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// Standard input line by line.
class LineReader {
 public:
  enum class Got : uint8_t { line, end, interrupt };

  Got read(std::string& line) {
    while (true) {
      const size_t end = kept_.find('\n');
      if (end != std::string::npos) {
        line = kept_.substr(0, end);
        kept_.erase(0, end + 1);
        return Got::line;
      }
      if (interrupted()) return Got::interrupt;
      char buffer[1 << 14];
      const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (count > 0) {
        kept_.append(buffer, static_cast<size_t>(count));
        if (kept_.size() > longest_line)
          throw Error("standard input", "a line has more than 16 MiB", "say less at once");
      } else if (count == 0) {
        line = std::exchange(kept_, {});
        return line.empty() ? Got::end : Got::line;
      } else if (errno != EINTR) {
        throw Error("standard input", std::strerror(errno), "check where it comes from");
      }
    }
  }

 private:
  static constexpr size_t longest_line = size_t{16} << 20;
  std::string kept_;
};

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
    if (options.system) messages_.push_back({{"role", "system"}, {"content", *options.system}});
    first_turn_ = messages_.size();
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
    fmt::print(stderr, "{}\n", describe(answer));
    if (answer.finish == FinishReason::failed) throw Error("request", answer.failure, "please report this");
    messages_.push_back({{"role", "assistant"}, {"content", answer.text}});
  }

 private:
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
      fmt::print(stderr, "this message makes {} tokens, and the context holds {}: say less at once\n", ids.size(),
                 context_);
      messages_ = whole;
      return {};
    }
    if (dropped > 0) {
      fmt::print(stderr, "the conversation has outgrown the context of {} tokens: its oldest {} left out\n", context_,
                 dropped == 1 ? "turn is" : fmt::format("{} turns are", dropped));
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
  ChatTemplate template_;
  boost::json::object variables_;
  boost::json::array messages_;
  size_t first_turn_ = 0;  // in messages_: behind the system's
  int32_t context_;
};

}  // namespace

int run_chat(Session& session, const ChatOptions& options) {
  Chat chat(session, options);
  const bool drawn = ::isatty(STDIN_FILENO) != 0;
  if (drawn) fmt::print(stderr, "Ctrl-C stops an answer, Ctrl-D ends the conversation\n");
  LineReader reader;
  std::string line;
  while (true) {
    if (drawn) print("> ");
    const LineReader::Got got = reader.read(line);
    if (drawn && got != LineReader::Got::line) print("\n");
    if (got == LineReader::Got::end) {
      finish_check(session);
      return 0;
    }
    if (got == LineReader::Got::interrupt) {
      if (drawn && take_ctrl_c()) continue;
      return exit_interrupted();
    }
    if (line.ends_with('\r')) line.pop_back();
    if (valid_utf8_prefix(line) != line.size()) throw Error("standard input", "it is not UTF-8", "give UTF-8 text");
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    chat.say(line);
    if (interrupted() && !take_ctrl_c()) return exit_interrupted();
  }
}

}  // namespace incipit::cli
