#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <new>

#include "base/error.h"
#include "base/utf8.h"

namespace incipit {
namespace {

// Backtracking steps for one match: a few for each byte of the text are what sane patterns take (a run of spaces that
// no line end follows); beyond that a hostile pattern is stopped.
constexpr uint64_t match_limit = 10'000'000;
constexpr uint64_t match_limit_per_byte = 8;
// Nested parentheses and bytes of a pattern; those of published tokenizers have a few levels and a few kilobytes.
constexpr uint32_t nesting_limit = 100;
constexpr size_t pattern_limit = 64 << 10;

/// What one thread needs to match with any pattern.
class MatchScratch {
 public:
  MatchScratch()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack_(pcre2_jit_stack_create(32 << 10, 1 << 20, nullptr)) {
    if (data == nullptr || context == nullptr) {
      release();
      throw std::bad_alloc();
    }
    if (stack_ != nullptr) pcre2_jit_stack_assign(context, nullptr, stack_);
  }
  ~MatchScratch() { release(); }
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;

  static MatchScratch& of_this_thread() {
    thread_local MatchScratch scratch;
    return scratch;
  }

  pcre2_match_data* const data;
  pcre2_match_context* const context;

 private:
  void release() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack_);
  }
  pcre2_jit_stack* const stack_;
};

std::string message_of(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Code {
  ~Code() { pcre2_code_free(compiled); }
  pcre2_code* compiled = nullptr;
  std::string pattern;
  std::string thing;
};

Regex::Regex(std::string_view pattern, std::string_view thing) : code_(std::make_unique<Code>()) {
  code_->pattern = pattern;
  code_->thing = thing;
  if (pattern.size() > pattern_limit) {
    throw Error(thing, fmt::format("a pattern has {} bytes, more than {}", pattern.size(), pattern_limit));
  }
  const std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  if (context == nullptr) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), nesting_limit);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // Multi-line, as Ruby's ^ and $ are. \C would cut characters apart.
  code_->compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context.get());
  if (code_->compiled == nullptr) {
    throw Error(thing, fmt::format("pattern \"{}\" is not understood: {} at {}", pattern, message_of(code), offset));
  }
  // Where a system forbids new machine code, PCRE2's interpreter serves: slower, same result.
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::optional<TextRange> Regex::find(std::string_view subject, size_t position) const {
  MatchScratch& scratch = MatchScratch::of_this_thread();
  const uint64_t limit = match_limit + match_limit_per_byte * subject.size();
  pcre2_set_match_limit(scratch.context, static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX)));
  const auto match = [&](uint32_t options) {
    return pcre2_match(code_->compiled, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), position,
                       PCRE2_NO_UTF_CHECK | options, scratch.data, scratch.context);
  };
  int count = match(0);
  // The interpreter keeps its state on the heap and may go on where machine code ran out of stack.
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = match(PCRE2_NO_JIT);
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count < 0) {
    throw Error(code_->thing, fmt::format("pattern \"{}\" fails on this text: {}", code_->pattern, message_of(count)),
                "shorten the text");
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(scratch.data);
  // \K may have moved the beginning.
  if (offsets[0] < position || offsets[1] < offsets[0]) return std::nullopt;
  return TextRange{offsets[0], offsets[1]};
}

std::string pattern_of_literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z');
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      pattern += fmt::format("\\x{{{:x}}}", static_cast<unsigned>(c));
    } else {
      if (!plain) pattern += '\\';
      pattern += c;
    }
  }
  return pattern;
}

}  // namespace incipit
