// Chat templates: Jinja sources that turn a conversation into a model's text.
// Source: Jinja 3.1 in the sandbox that Transformers makes for them (trim_blocks and lstrip_blocks on, the `generation`
// statement, loop controls, `raise_exception`, `strftime_now`, a `tojson` that is Python's json.dumps).
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace incipit {

/// What a rendering may use for no input at all; with its variables the limits grow. A template is a stranger's
/// program: whatever it does ends soon, in little memory.
struct TemplateLimits {
  int64_t steps = 10'000'000;               // expressions and statements evaluated, items looked at, 64 bytes copied
  size_t memory = size_t{128} << 20;        // bytes of all values that are in use at a time, and of the text put out
  size_t string_bytes = size_t{16} << 20;   // of one string, and of the result
  size_t items = size_t{1} << 20;           // of one list or dict
  size_t collect_after = size_t{32} << 20;  // bytes made before those not in use any more are freed
  int32_t depth = 400;                      // of expressions and statements within one another, through macros too
};

struct LocalTime {
  std::tm calendar{};
  int32_t microseconds = 0;
};

struct TemplateOptions {
  TemplateLimits limits;
  std::optional<LocalTime> now;  // what strftime_now tells; the present time when there is none
};

/// A parsed template. Const, and may be rendered from many threads.
class JinjaTemplate {
 public:
  /// `name` stands for the template in messages. Throws Error naming it and the line of what it does not understand.
  JinjaTemplate(std::string_view source, std::string_view name);
  ~JinjaTemplate();
  JinjaTemplate(JinjaTemplate&&) noexcept;
  JinjaTemplate& operator=(JinjaTemplate&&) noexcept;

  /// Whether the source has this word anywhere: a template that knows a role names it.
  bool mentions(std::string_view word) const;
  /// The text for `variables` ("messages", "add_generation_prompt", "bos_token" …). Throws Error naming the template
  /// and the line when it fails, calls raise_exception, or goes beyond a limit.
  std::string render(const boost::json::object& variables, const TemplateOptions& options = {}) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace incipit
