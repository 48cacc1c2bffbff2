#include "tokenizer_compile/oniguruma.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer_compile/oniguruma_classes.h"

namespace incipit {
namespace {

using namespace oniguruma;

/// Characters of which one is meant.
struct Set {
  bool negated = false;
  std::string members;  // as PCRE2 writes them between brackets
  std::string text() const { return fmt::format("[{}{}]", negated ? "^" : "", members); }
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view thing) : pattern_(pattern), thing_(thing) {}

  std::string translate() {
    groups_.push_back({});
    while (at_ < pattern_.size()) read_one();
    result_.append(groups_.front().options, ')');
    return std::move(result_);
  }

 private:
  struct Group {
    size_t begin = 0;        // in result_
    size_t options = 0;      // groups of isolated options, which end with this one
    bool assertion = false;  // nothing that could be repeated
    bool extended = false;   // spaces and comments mean nothing
    bool caseless = false;
  };
  /// What of a repetition stands behind the last atom.
  enum class Repeat { none, sign, interval, count, complete };
  static constexpr size_t nothing = std::string::npos;

  [[noreturn]] void refuse(std::string_view construct) const {
    throw Error(thing_, fmt::format("pattern \"{}\" uses {}, which is not supported", pattern_, construct),
                "a tokenizer that needs it cannot be read yet");
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  bool eat(std::string_view text) {
    if (pattern_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }
  /// One character of the pattern, whole.
  std::string_view take_character() {
    const size_t size = utf8_unit_at(pattern_, at_).size;
    at_ += size;
    return pattern_.substr(at_ - size, size);
  }

  void add_atom(std::string_view text) {
    atom_ = result_.size();
    repeat_ = Repeat::none;
    repetitions_ = 0;
    result_ += text;
  }
  void add_anchor(std::string_view text) {
    atom_ = nothing;
    result_ += text;
  }

  void read_one() {
    const char c = peek();
    switch (c) {
      case '\\': return read_escape();
      case '[': ++at_; return add_atom(read_class());
      case '(': return open_group();
      case ')': return close_group();
      case '^':
      case '$':
      case '|': ++at_; return add_anchor(std::string_view(&c, 1));
      case '*':
      case '+':
      case '?': ++at_; return repeat(std::string_view(&c, 1), Repeat::sign);
      case '{': return read_interval();
      default: break;
    }
    if (groups_.back().extended) {
      if (c == '#') {
        at_ = std::min(pattern_.find('\n', at_), pattern_.size());
        return;
      }
      if (c == ' ' || (c >= '\t' && c <= '\r')) {
        ++at_;
        return;
      }
    }
    add_literal(take_character());
  }

  /// Ignoring case, Oniguruma takes ß for "ss" and ligatures for their letters, and PCRE2 does not.
  void add_literal(std::string_view character) {
    const bool behind_literal = literal_ == result_.size();
    const char letter = static_cast<char>(character[0] | 0x20);
    if (groups_.back().caseless) {
      refuse_beyond_ascii(character);
      const char pair[] = {behind_literal ? literal_letter_ : ' ', letter, '\0'};
      for (const std::string_view joined : {"ss", "st", "ff", "fi", "fl"}) {
        if (pair == joined) refuse(fmt::format("\"{}\" while case is ignored", joined));
      }
    }
    add_atom(character);
    literal_ = result_.size();
    literal_letter_ = letter;
  }
  void refuse_beyond_ascii(std::string_view character) const {
    if (groups_.back().caseless && !is_ascii(character[0])) refuse(fmt::format("{} while case is ignored", character));
  }

  void repeat(std::string_view text, Repeat kind) {
    if (atom_ == nothing) refuse(fmt::format("a repetition ({}) of nothing", text));
    const bool lazy = text == "?" && (repeat_ == Repeat::sign || repeat_ == Repeat::interval);
    const bool possessive = text == "+" && repeat_ == Repeat::sign;
    if (lazy || possessive) {
      kind = Repeat::complete;
    } else if (repeat_ != Repeat::none) {  // a repetition of what is repeated already
      if (++repetitions_ > max_depth) refuse("too many repetitions of one another");
      result_.insert(atom_, "(?:");
      result_ += ')';
    }
    result_ += text;
    repeat_ = kind;
  }

  void read_interval() {
    const size_t end = pattern_.find('}', at_);
    const std::string_view text = pattern_.substr(at_ + 1, end == std::string_view::npos ? 0 : end - at_ - 1);
    const size_t comma = text.find(',');
    const std::string_view low = text.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? low : text.substr(comma + 1);
    const auto is_number = [](std::string_view number) {
      return std::all_of(number.begin(), number.end(), is_ascii_digit);
    };
    if ((low.empty() && high.empty()) || !is_number(low) || !is_number(high)) {  // a brace and no more
      ++at_;
      return add_atom("\\{");
    }
    at_ = end + 1;
    const auto value = [&](std::string_view number, uint32_t fallback) {
      uint32_t result = fallback;
      if (number.size() > 5) refuse(fmt::format("{{{}}}", text));
      std::from_chars(number.data(), number.data() + number.size(), result);
      return result;
    };
    if (value(low, 0) > value(high, UINT32_MAX)) refuse(fmt::format("{{{}}}", text));
    if (comma == std::string_view::npos) return repeat(fmt::format("{{{}}}", low), Repeat::count);
    repeat(fmt::format("{{{},{}}}", low.empty() ? "0" : low, high), Repeat::interval);
  }

  void open_group() {
    if (peek(1) == '*') refuse("(*");
    Group group{result_.size(), 0, false, groups_.back().extended, groups_.back().caseless};
    if (!eat("(?")) {
      ++at_;
      result_ += '(';
    } else if (eat("#")) {
      for (; peek() != ')'; ++at_) {
        if (peek() == '\\') ++at_;
        if (at_ >= pattern_.size()) refuse("a comment that does not close");
      }
      ++at_;
      return;
    } else if (eat(":")) {
      result_ += "(?:";
    } else if (eat(">")) {
      result_ += "(?>";
    } else if (peek() == '=' || peek() == '!' || pattern_.substr(at_, 2) == "<=" || pattern_.substr(at_, 2) == "<!") {
      group.assertion = true;
      result_ += "(?";
      if (eat("<")) result_ += '<';
      result_ += pattern_[at_++];
    } else if ((peek() == '<' || peek() == '\'') &&
               (is_ascii_letter(peek(1)) || peek(1) == '_' || !is_ascii(peek(1)))) {
      const size_t end = pattern_.find(peek() == '<' ? '>' : '\'', at_ + 1);
      if (end == std::string_view::npos) refuse("a name that does not end");
      at_ = end + 1;
      has_names_ = true;
      result_ += "(?:";  // names are for references, which are refused
    } else if (!read_options(group)) {
      return;
    }
    groups_.push_back(group);
    atom_ = nothing;
  }

  /// "im-x:" or "im-x)", behind "(?". True where a group begins with them; otherwise they hold up to the end of the
  /// group that they are in, alternatives included.
  bool read_options(Group& group) {
    std::string on, off;
    bool negative = false;
    const size_t begin = at_;
    for (; peek() != ':' && peek() != ')'; ++at_) {
      const char c = peek();
      std::string& side = negative ? off : on;
      if (c == '-' && !negative) {
        negative = true;
      } else if (c == 'i') {
        side += 'i';
        group.caseless = !negative;
      } else if (c == 'm') {  // the dot matches line ends
        side += 's';
      } else if (c == 'x') {
        group.extended = !negative;
      } else {
        refuse(fmt::format("(?{}", pattern_.substr(begin, at_ + 1 - begin)));
      }
    }
    result_ += fmt::format("(?{}{}{}:", on, off.empty() ? "" : "-", off);
    if (pattern_[at_++] == ':') return true;
    groups_.back().extended = group.extended;
    groups_.back().caseless = group.caseless;
    ++groups_.back().options;
    atom_ = nothing;
    return false;
  }

  void close_group() {
    ++at_;
    if (groups_.size() == 1) return add_anchor(")");  // which PCRE2 will name
    const Group group = groups_.back();
    groups_.pop_back();
    result_.append(group.options + 1, ')');
    atom_ = group.assertion ? nothing : group.begin;
    repeat_ = Repeat::none;
    repetitions_ = 0;
  }

  void read_escape() {
    ++at_;
    if (at_ >= pattern_.size()) refuse("a backslash at its end");
    const char c = peek();
    if (std::optional<Set> set = take_set()) {
      if (set->members == words && (c == 'w' || c == 'W')) set->members += more_words;
      return add_atom(set->text());
    }
    if (const auto code_point = take_code_point()) {
      if (*code_point >= 0x80 && groups_.back().caseless) refuse("a letter beyond ASCII while case is ignored");
      return add_atom(fmt::format("\\x{{{:x}}}", *code_point));
    }
    const std::string word = fmt::format("[{}{}]", words, more_words);
    if (is_ascii_digit(c)) {
      if (has_names_ || is_ascii_digit(peek(1)))
        refuse(fmt::format("\\{}{}", c, is_ascii_digit(peek(1)) ? "…" : " beside names"));
      ++at_;
      return add_atom(fmt::format("\\{}", c));
    }
    if (!is_ascii_letter(c)) {
      const std::string_view character = take_character();
      return add_atom(is_ascii(c) ? fmt::format("\\{}", c) : std::string(character));
    }
    ++at_;
    switch (c) {
      case 'A':
      case 'z':
      case 'Z': return add_anchor(fmt::format("\\{}", c));
      case 'b': return add_anchor(fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word));
      case 'B': return add_anchor(fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word));
      case 'R': return add_atom(R"((?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}]))");
      case 'N': return add_atom(R"([^\n])");
      case 'O': return add_atom("(?s:.)");
      default: refuse(fmt::format("\\{}", c));
    }
  }

  /// An escape that stands for several characters; at_ is behind its backslash. Nothing for others.
  std::optional<Set> take_set() {
    const char c = peek();
    if (c == 'p' || c == 'P') return take_property();
    const auto members = [&](char lower) -> std::string_view {
      switch (lower) {
        case 's': return spaces;
        case 'w': return words;
        case 'h': return hexadecimals;
        case 'd': return R"(\p{Nd})";
        default: return {};
      }
    }(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
    if (members.empty()) return std::nullopt;
    ++at_;
    return Set{c < 'a', std::string(members)};
  }

  Set take_property() {
    Set result{peek() == 'P', {}};
    if (peek(1) != '{') refuse(fmt::format("\\{} without braces", peek()));
    const size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) refuse("a brace that does not close");
    std::string_view text = pattern_.substr(at_ + 2, end - at_ - 2);
    at_ = end + 1;
    if (text.starts_with('^')) {
      result.negated = !result.negated;
      text.remove_prefix(1);
    }
    const std::optional<std::string> members = members_of_property(text);
    if (!members) refuse(fmt::format("\\p{{{}}}", text));
    result.members = *members;
    return result;
  }

  /// An escape that stands for one character by its number or its control letter; at_ is behind its backslash.
  std::optional<uint32_t> take_code_point() {
    switch (peek()) {
      case 't': ++at_; return '\t';
      case 'n': ++at_; return '\n';
      case 'v': ++at_; return '\v';
      case 'f': ++at_; return '\f';
      case 'r': ++at_; return '\r';
      case 'a': ++at_; return '\a';
      case 'e': ++at_; return 0x1b;
      case '0': return take_number(1, 3, 8);
      case 'u': ++at_; return take_number(4, 4, 16);
      case 'x': break;
      default: return std::nullopt;
    }
    ++at_;
    if (peek() != '{') {
      const uint32_t byte = take_number(1, 2, 16);
      if (byte >= 0x80) refuse(fmt::format("\\x{:x}, a byte", byte));
      return byte;
    }
    ++at_;
    const uint32_t code_point = take_number(1, 8, 16);
    if (!eat("}")) refuse("a brace that does not close");
    return code_point;
  }

  uint32_t take_number(size_t least, size_t most, int base) {
    const std::string_view digits = pattern_.substr(at_, most);
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
    const auto size = static_cast<size_t>(end - digits.data());
    if (error != std::errc() || size < least || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) {
      refuse(fmt::format("\"{}\" as a character's number", digits));
    }
    at_ += size;
    return number;
  }

  /// What is between two && of a class, and what the whole class is.
  struct Class {
    bool negated = false;
    std::vector<Set> operands;  // a character must be of all
  };

  /// A class whose bracket was read, as an expression.
  std::string read_class() {
    Class read = read_operands();
    if (read.operands.size() == 1) {
      read.operands[0].negated ^= read.negated;
      return read.operands[0].text();
    }
    if (read.negated) refuse("&& in a class that is negated");
    std::string result = "(?:";
    for (size_t i = 0; i + 1 < read.operands.size(); ++i) result += fmt::format("(?={})", read.operands[i].text());
    return result + read.operands.back().text() + ")";
  }

  Class read_operands() {
    Class result;
    result.negated = eat("^");
    result.operands.emplace_back();
    for (bool first = true;; first = false) {
      if (at_ >= pattern_.size()) refuse("a class that does not close");
      if (peek() == ']' && !first) break;
      if (eat("&&")) {
        if (result.operands.back().members.empty()) refuse("&& behind nothing");
        result.operands.emplace_back();
        continue;
      }
      read_member(result.operands.back());
    }
    ++at_;
    if (result.operands.back().members.empty()) refuse("an empty class");
    return result;
  }

  void read_member(Set& set) {
    if (peek() == '[') return add_set(take_inner_class(), set);
    if (peek() == '\\') {
      ++at_;
      if (at_ >= pattern_.size()) refuse("a backslash at its end");
      if (const std::optional<Set> escaped = take_set()) return add_set(*escaped, set);
      --at_;
    }
    if (set.negated) refuse("a negated class beside others in a class");
    const std::string low = take_member();
    set.members += low;
    const char behind = peek(1);
    if (peek() != '-' || behind == ']' || behind == '[' || behind == '\0') return;
    if (behind == '\\') {  // a range ends with one character: a set is a set, and the hyphen a hyphen
      const size_t hyphen = at_;
      at_ += 2;
      const bool is_set = at_ < pattern_.size() && take_set().has_value();
      at_ = hyphen;
      if (is_set) return;
    }
    ++at_;
    set.members += '-' + take_member();
  }

  /// Joins what a class has already and another set in it.
  void add_set(const Set& more, Set& set) {
    if (set.negated) refuse("a negated class beside others in a class");
    if (!more.negated) {
      set.members += more.members;
    } else if (set.members.empty() && (peek() == ']' || pattern_.substr(at_, 2) == "&&")) {
      set = more;
    } else if (more.members == spaces) {  // what \S is in a class of PCRE2, whose \s exceeds the spaces
      set.members += R"(\S\x{180e})";
    } else if (more.members.starts_with("\\p{") && more.members.find('}') + 1 == more.members.size()) {
      set.members += "\\P" + more.members.substr(2);
    } else {
      refuse("a negated class beside others in a class");
    }
  }

  /// One character of a class, as PCRE2 writes it there.
  std::string take_member() {
    if (peek() == '\\') {
      ++at_;
      if (at_ >= pattern_.size()) refuse("a backslash at its end");
      if (eat("b")) return R"(\x{8})";
      if (const auto code_point = take_code_point()) return fmt::format("\\x{{{:x}}}", *code_point);
      if (is_ascii_letter(peek()) || is_ascii_digit(peek())) refuse(fmt::format("\\{} in a class", peek()));
    }
    const std::string character(take_character());
    refuse_beyond_ascii(character);
    const char c = character[0];
    return is_ascii(c) && !is_ascii_letter(c) && !is_ascii_digit(c) && c != ' ' ? "\\" + character : character;
  }

  Set take_inner_class() {
    ++at_;
    if (peek() == ':') {
      const size_t end = pattern_.find(":]", at_ + 1);
      std::string_view name = pattern_.substr(at_ + 1, end == std::string_view::npos ? 0 : end - at_ - 1);
      Set set;
      if (name.starts_with('^')) {
        set.negated = true;
        name.remove_prefix(1);
      }
      const auto members = members_of_name(name);
      if (!members) refuse(fmt::format("[:{}:]", name));
      set.members = *members;
      at_ = end + 2;
      return set;
    }
    if (++depth_ > max_depth) refuse("too many classes within one another");
    Class inner = read_operands();
    --depth_;
    if (inner.operands.size() > 1) refuse("&& in a class within a class");
    inner.operands[0].negated ^= inner.negated;
    return inner.operands[0];
  }

  static constexpr int max_depth = 50;
  const std::string_view pattern_;
  const std::string_view thing_;
  size_t at_ = 0;
  std::string result_;
  std::vector<Group> groups_;
  size_t atom_ = nothing;  // where what a repetition would repeat begins in result_
  Repeat repeat_ = Repeat::none;
  size_t literal_ = nothing;  // where the last literal character ends in result_, and which it is, small
  char literal_letter_ = 0;
  bool has_names_ = false;
  int repetitions_ = 0;  // of the last atom, one around another
  int depth_ = 0;
};

}  // namespace

std::string pcre2_pattern_from_oniguruma(std::string_view pattern, std::string_view thing) {
  return Translator(pattern, thing).translate();
}

}  // namespace incipit
