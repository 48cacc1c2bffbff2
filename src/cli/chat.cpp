#include "cli/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "jinja/jinja_template.h"
#include "openai/chat_variables.h"

namespace incipit::cli {
namespace {

std::string_view template_of(const Engine& engine) {
  if (engine.chat_template().empty()) {
    throw Error(engine.path().string(), "the engine has no chat template",
                "build it from a model with a chat_template.jinja or a tokenizer_config.json that has one");
  }
  return engine.chat_template();
}

std::string describe(const Answer& answer) {
  if (answer.ids.empty()) return fmt::format("no token; {}", name_of(answer.finish));
  std::string line =
      fmt::format("TTFT {:.1f} ms for {} tokens, {} of them cached", milliseconds(answer.submitted, answer.first),
                  answer.prompt_tokens, answer.cached_tokens);
  if (answer.ids.size() > 1) {
    line += fmt::format("; then {:.1f} tokens/s", 1e3 * static_cast<double>(answer.ids.size() - 1) /
                                                      std::max(1e-3, milliseconds(answer.first, answer.last)));
  }
  return line + fmt::format(" ({} tokens, {})", answer.ids.size(), name_of(answer.finish));
}

class Chat {
 public:
  Chat(Gateway& gateway, const ChatOptions& options)
      : gateway_(gateway),
        options_(options),
        tokenizer_(tokenizer_of(gateway)),
        template_(template_of(gateway.engine()), gateway.engine().path().string() + ": template"),
        variables_(chat_variables(gateway.engine())),
        context_(gateway.limits().max_context) {
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
    Request request = options_.request;
    request.prompt = prompt;
    const Answer said = answer(gateway_, std::move(request), true);
    print("\n");
    tell(describe(said));
    if (said.finish == FinishReason::failed) throw Error("request", said.failure);
    messages_.push_back({{"role", "assistant"}, {"content", said.text}});
  }

 private:
  /// A system prompt that leaves no room for the shortest message is refused before anything is said.
  void begin_with(const std::string& system) {
    check_utf8(system, "--system");
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

  Gateway& gateway_;
  const ChatOptions& options_;
  const Tokenizer& tokenizer_;
  JinjaTemplate template_;
  boost::json::object variables_;
  boost::json::array messages_;
  size_t first_turn_ = 0;  // in messages_: behind the system's
  int32_t context_;
};

}  // namespace

int run_chat(Gateway& gateway, const ChatOptions& options) {
  check_standard_input();
  Chat chat(gateway, options);
  LineReader reader;
  if (reader.is_terminal()) tell("Ctrl-C stops an answer, Ctrl-D ends the conversation");
  std::string line;
  while (true) {
    const LineReader::Got got = reader.read(line);
    if (got == LineReader::Got::end) {
      finish_check(gateway);
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
