// The methods of Python's strings, lists, tuples and dicts.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "jinja/interpreter.h"
#include "jinja/print.h"
#include "jinja/python_case.h"
#include "jinja/python_format.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view string_methods[] = {
    "capitalize", "casefold",  "center",      "count",     "encode",       "endswith",     "expandtabs", "find",
    "format",     "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",    "isidentifier",
    "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",       "ljust",
    "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",    "rfind",
    "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines", "startswith",
    "strip",      "swapcase",  "title",       "translate", "upper",        "zfill",        "format_map"};
constexpr std::string_view list_methods[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                             "insert", "pop",   "remove", "reverse", "sort"};
constexpr std::string_view tuple_methods[] = {"count", "index"};
constexpr std::string_view dict_methods[] = {"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                             "pop",   "popitem", "setdefault", "update", "values"};

[[noreturn]] void not_supported(const Value& self, std::string_view name) {
  throw Fault(fmt::format("the method '{}' of '{}' is not supported", name, type_name(self)));
}

Value kept(Heap& heap, const std::string& text) { return Value::string(heap.keep(text)); }

Value list_of(Heap& heap, const std::vector<std::string_view>& parts) {
  List* const list = heap.make<List>(heap);
  heap.check_items(parts.size());
  heap.step(static_cast<int64_t>(parts.size()));
  list->items.reserve(parts.size());
  for (const std::string_view part : parts) list->items.push_back(Value::string(part));
  return Value::list(list);
}

/// Parts that are `separator` apart, at most `most` of them split off.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t most) {
  std::vector<std::string_view> parts;
  while (static_cast<int64_t>(parts.size()) < most) {
    const size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator, int64_t most) {
  std::vector<std::string_view> parts;
  while (static_cast<int64_t>(parts.size()) < most) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split(Heap& heap, std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [separator, most] = match_arguments(arguments, name, std::array<std::string_view, 2>{"sep", "maxsplit"});
  // One part more than a list may have, so that its making tells.
  const auto too_many = static_cast<int64_t>(heap.limits().items + 1);
  const int64_t wanted = most ? integer_argument(*most, name) : -1;
  const int64_t limit = wanted < 0 ? too_many : std::min(wanted, too_many);
  const bool from_right = name == "rsplit";
  if (!separator || separator->is(Kind::none)) {
    return list_of(heap, from_right ? split_at_space_from_right(self, limit) : split_at_space(self, limit));
  }
  const std::string_view sign = text_argument(*separator, name);
  if (sign.empty()) throw Fault("empty separator");
  return list_of(heap, from_right ? split_from_right(self, sign, limit) : split_at(self, sign, limit));
}

Value partition(Heap& heap, std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [separator] = match_arguments(arguments, name, std::array<std::string_view, 1>{"sep"}, 1);
  const std::string_view sign = text_argument(*separator, name);
  if (sign.empty()) throw Fault("empty separator");
  const bool from_right = name == "rpartition";
  const size_t at = from_right ? self.rfind(sign) : self.find(sign);
  std::vector<std::string_view> parts;
  if (at != std::string_view::npos) {
    parts = {self.substr(0, at), self.substr(at, sign.size()), self.substr(at + sign.size())};
  } else {
    parts = from_right ? std::vector<std::string_view>{"", "", self} : std::vector<std::string_view>{self, "", ""};
  }
  return Value::tuple(&list_of(heap, parts).list());
}

/// The part of `self` that the optional bounds of find, count and startswith leave.
std::string_view within(Heap& heap, std::string_view self, const std::optional<Value>& start,
                        const std::optional<Value>& end) {
  return start || end ? slice(heap, Value::string(self), start, end, std::nullopt).text() : self;
}

Value starts_or_ends(Heap& heap, std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [affix, start, end] =
      match_arguments(arguments, name, std::array<std::string_view, 3>{"prefix", "start", "end"}, 1);
  const std::string_view part = within(heap, self, start, end);
  const auto matches = [&](const Value& one) {
    const std::string_view text = text_argument(one, name);
    return name == "startswith" ? part.starts_with(text) : part.ends_with(text);
  };
  if (!affix->is(Kind::tuple)) return Value::boolean(matches(*affix));
  const auto& items = affix->list().items;
  return Value::boolean(std::any_of(items.begin(), items.end(), matches));
}

Value find(Heap& heap, std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [sub, start, end] =
      match_arguments(arguments, name, std::array<std::string_view, 3>{"sub", "start", "end"}, 1);
  const std::string_view wanted = text_argument(*sub, name), part = within(heap, self, start, end);
  const bool from_right = name.front() == 'r';
  const size_t at = from_right ? part.rfind(wanted) : part.find(wanted);
  if (at == std::string_view::npos) {
    if (name.ends_with("index")) throw Fault("substring not found");
    return Value::integer(-1);
  }
  const auto offset = static_cast<size_t>(part.data() - self.data());
  return Value::integer(static_cast<int64_t>(count_characters(self.substr(0, offset + at))));
}

Value count(Heap& heap, std::string_view self, const Arguments& arguments) {
  const auto [sub, start, end] =
      match_arguments(arguments, "count", std::array<std::string_view, 3>{"sub", "start", "end"}, 1);
  const std::string_view wanted = text_argument(*sub, "count"), part = within(heap, self, start, end);
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(count_characters(part)) + 1);
  int64_t times = 0;
  for (size_t at = part.find(wanted); at != std::string_view::npos; at = part.find(wanted, at + wanted.size())) ++times;
  return Value::integer(times);
}

Value stripped(std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [characters] = match_arguments(arguments, name, std::array<std::string_view, 1>{"chars"});
  std::optional<std::string_view> set;
  if (characters && !characters->is(Kind::none)) set = text_argument(*characters, name);
  const StripSide side = name == "strip" ? StripSide::both : name == "lstrip" ? StripSide::left : StripSide::right;
  return Value::string(strip(self, set, side));
}

Value justified(Heap& heap, std::string_view self, std::string_view name, const Arguments& arguments) {
  const auto [width, fill] = match_arguments(arguments, name, std::array<std::string_view, 2>{"width", "fillchar"}, 1);
  const std::string_view filling = fill ? text_argument(*fill, name) : " ";
  if (count_characters(filling) != 1) throw Fault("The fill character must be exactly one character long");
  const int64_t wanted = integer_argument(*width, name), size = static_cast<int64_t>(count_characters(self));
  if (wanted <= size) return Value::string(self);
  heap.check_string(static_cast<size_t>(wanted) * filling.size());
  const int64_t missing = wanted - size;
  // Python's str.center gives the odd one to the left where the width is odd too.
  const int64_t left = name == "ljust" ? 0 : name == "rjust" ? missing : missing / 2 + (missing & wanted & 1);
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += filling;
  text += self;
  for (int64_t i = left; i < missing; ++i) text += filling;
  return kept(heap, text);
}

Value zero_filled(Heap& heap, std::string_view self, const Arguments& arguments) {
  const auto [width] = match_arguments(arguments, "zfill", std::array<std::string_view, 1>{"width"}, 1);
  const int64_t wanted = integer_argument(*width, "zfill"), size = static_cast<int64_t>(count_characters(self));
  if (wanted <= size) return Value::string(self);
  heap.check_string(static_cast<size_t>(wanted));
  const size_t sign = !self.empty() && (self.front() == '-' || self.front() == '+') ? 1 : 0;
  std::string text(self.substr(0, sign));
  text.append(static_cast<size_t>(wanted - size), '0');
  text += self.substr(sign);
  return kept(heap, text);
}

std::optional<bool> classified(std::string_view self, std::string_view name) {
  if (name == "isupper") return is_upper(self);
  if (name == "islower") return is_lower(self);
  if (name == "isspace") return all_characters(self, is_python_space);
  if (name == "isalpha") return all_characters(self, is_alphabetic);
  if (name == "isascii") return self.empty() || all_characters(self, [](uint32_t c) { return c < 0x80; });
  if (name == "isalnum") return all_characters(self, is_alphanumeric);
  if (name == "isdecimal") return all_characters(self, is_decimal);
  if (name == "isdigit") return all_characters(self, is_digit);
  if (name == "isnumeric") return all_characters(self, is_numeric);
  if (name == "isprintable") return self.empty() || all_characters(self, is_printable);
  if (name == "istitle") return is_title(self);
  return std::nullopt;
}

std::optional<std::string> recased(std::string_view self, std::string_view name) {
  if (name == "upper") return upper(self);
  if (name == "lower") return lower(self);
  if (name == "casefold") return case_fold(self);
  if (name == "title") return title(self);
  if (name == "capitalize") return capitalize(self);
  if (name == "swapcase") return swap_case(self);
  return std::nullopt;
}

int64_t insert_position(const List& list, int64_t index) {
  const auto size = static_cast<int64_t>(list.items.size());
  if (index < 0) index = std::max<int64_t>(0, index + size);
  return std::min(index, size);
}

size_t position_of(Heap& heap, const List& list, const Value& wanted) {
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (equal(heap, list.items[i], wanted)) return i;
  }
  throw Fault("the value is not in the list");
}

Value pop(Heap& heap, List& list, const Arguments& arguments) {
  const auto [index] = match_arguments(arguments, "pop", std::array<std::string_view, 1>{"index"});
  const Value* const found = list_item(list, index ? integer_argument(*index, "pop") : -1);
  if (found == nullptr) throw Fault("pop from a list where there is no such item");
  const Value value = *found;
  heap.step(static_cast<int64_t>(list.items.size()));
  list.items.erase(list.items.begin() + (found - list.items.data()));
  return value;
}

Value call_list_method(Interpreter& interpreter, std::string_view name, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  List& list = self.list();
  const auto one = [&] { return *match_arguments(arguments, name, std::array<std::string_view, 1>{"object"}, 1)[0]; };
  if (name == "append") return list.add(heap, one()), Value::none();
  if (name == "index") return Value::integer(static_cast<int64_t>(position_of(heap, list, one())));
  if (name == "count") {
    const Value wanted = one();
    int64_t times = 0;
    for (const Value& item : list.items) times += equal(heap, item, wanted) ? 1 : 0;
    return Value::integer(times);
  }
  if (name == "extend") {
    for (const Value& item : collect(heap, one())->items) list.add(heap, item);
    return Value::none();
  }
  if (name == "insert") {
    const auto [index, object] =
        match_arguments(arguments, name, std::array<std::string_view, 2>{"index", "object"}, 2);
    heap.check_items(list.items.size() + 1);
    heap.step(static_cast<int64_t>(list.items.size()));
    list.items.insert(list.items.begin() + insert_position(list, integer_argument(*index, name)), *object);
    return Value::none();
  }
  if (name == "remove") {
    const size_t at = position_of(heap, list, one());
    list.items.erase(list.items.begin() + static_cast<std::ptrdiff_t>(at));
    return Value::none();
  }
  if (name == "pop") return pop(heap, list, arguments);
  expect_no_arguments(arguments, name);
  if (name == "copy") return Value::list(collect(heap, self));
  if (name == "clear") return list.items.clear(), Value::none();
  if (name == "reverse") {
    heap.step(static_cast<int64_t>(list.items.size()));
    std::reverse(list.items.begin(), list.items.end());
    return Value::none();
  }
  not_supported(self, name);
}

Value call_dict_method(Interpreter& interpreter, std::string_view name, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  Dict& dict = self.dict();
  if (name == "get" || name == "setdefault" || name == "pop") {
    const auto [key, otherwise] =
        match_arguments(arguments, name, std::array<std::string_view, 2>{"key", "default"}, 1);
    const Value* const found = dict.find(heap, *key);
    const Value value = found != nullptr ? *found : otherwise.value_or(Value::none());
    if (name == "setdefault" && found == nullptr) dict.set(heap, *key, value);
    if (name == "pop" && found == nullptr && !otherwise) {
      throw Fault(fmt::format("pop of a key that is not there: {}", text_of(heap, *key)));
    }
    if (name == "pop") dict.remove(heap, *key);
    return value;
  }
  if (name == "update") {
    if (arguments.positional.size() > 1) throw Fault("update() takes at most 1 argument");
    if (!arguments.positional.empty()) update_dict(heap, dict, arguments.positional.front());
    for (const auto& [key, value] : arguments.keywords) dict.set(heap, Value::string(key), value);
    return Value::none();
  }
  expect_no_arguments(arguments, name);
  if (name == "items") return view_of(heap, dict, ViewOf::items);
  if (name == "keys") return view_of(heap, dict, ViewOf::keys);
  if (name == "values") return view_of(heap, dict, ViewOf::values);
  if (name == "copy") {
    Dict* const copy = heap.make<Dict>(heap);
    update_dict(heap, *copy, self);
    return Value::dict(copy);
  }
  not_supported(self, name);
}

Value joined(Interpreter& interpreter, std::string_view separator, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [iterable] = match_arguments(arguments, "join", std::array<std::string_view, 1>{"iterable"}, 1);
  require_defined(*iterable);
  std::string text;
  Cursor cursor(*iterable);
  bool first = true;
  for (Value item; cursor.next(heap, item); first = false) {
    if (!item.is_string()) throw Fault(fmt::format("join: expected str instance, {} found", type_name(item)));
    if (!first) text += separator;
    append_text(heap, text, item);
  }
  return kept(heap, text);
}

}  // namespace

bool has_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::string: return among(string_methods, name);
    case Kind::list: return among(list_methods, name);
    case Kind::tuple:
    case Kind::range: return among(tuple_methods, name);
    case Kind::dict: return among(dict_methods, name);
    case Kind::cycler: return name == "next" || name == "reset";
    default: return false;
  }
}

Value call_string_method(Interpreter& interpreter, std::string_view name, std::string_view self,
                         const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  heap.step_bytes(self.size());
  if (name == "strip" || name == "lstrip" || name == "rstrip") return stripped(self, name, arguments);
  if (name == "split" || name == "rsplit") return split(heap, self, name, arguments);
  if (name == "startswith" || name == "endswith") return starts_or_ends(heap, self, name, arguments);
  if (name == "replace") {
    const auto [old, fresh, most] =
        match_arguments(arguments, name, std::array<std::string_view, 3>{"old", "new", "count"}, 2);
    return replaced(heap, self, text_argument(*old, name), text_argument(*fresh, name),
                    most ? integer_argument(*most, name) : -1);
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    return find(heap, self, name, arguments);
  }
  if (name == "count") return count(heap, self, arguments);
  if (name == "join") return joined(interpreter, self, arguments);
  if (name == "format") return brace_format(heap, self, arguments);
  if (name == "partition" || name == "rpartition") return partition(heap, self, name, arguments);
  if (name == "center" || name == "ljust" || name == "rjust") return justified(heap, self, name, arguments);
  if (name == "zfill") return zero_filled(heap, self, arguments);
  if (name == "removeprefix" || name == "removesuffix") {
    const auto [affix] = match_arguments(arguments, name, std::array<std::string_view, 1>{"affix"}, 1);
    const std::string_view text = text_argument(*affix, name);
    if (name == "removeprefix") return Value::string(self.starts_with(text) ? self.substr(text.size()) : self);
    return Value::string(self.ends_with(text) ? self.substr(0, self.size() - text.size()) : self);
  }
  if (name == "splitlines") {
    const auto [keep] = match_arguments(arguments, name, std::array<std::string_view, 1>{"keepends"});
    return list_of(heap, split_lines(self, heap.limits().items + 1, keep && truth(*keep)));
  }
  if (const auto text = recased(self, name)) {
    expect_no_arguments(arguments, name);
    return kept(heap, *text);
  }
  if (const auto is = classified(self, name)) {
    expect_no_arguments(arguments, name);
    return Value::boolean(*is);
  }
  not_supported(Value::string(self), name);
}

Value replaced(Heap& heap, std::string_view text, std::string_view old, std::string_view fresh, int64_t most) {
  heap.step_bytes(text.size());
  std::string result;
  const auto add = [&](std::string_view part) {
    heap.check_string(result.size() + part.size());
    result += part;
  };
  if (old.empty()) {  // before each character and at the end
    Cursor cursor(Value::string(text));
    int64_t times = 0;
    for (Value character; cursor.next(heap, character); ++times) {
      if (most < 0 || times < most) add(fresh);
      add(character.text());
    }
    if (most < 0 || times < most) add(fresh);
    return kept(heap, result);
  }
  for (int64_t times = 0; most < 0 || times < most; ++times) {
    const size_t at = text.find(old);
    if (at == std::string_view::npos) break;
    heap.step();
    add(text.substr(0, at));
    add(fresh);
    text.remove_prefix(at + old.size());
  }
  add(text);
  return kept(heap, result);
}

Value call_container_method(Interpreter& interpreter, std::string_view name, const Value& self,
                            const Arguments& arguments) {
  if (self.is(Kind::dict)) return call_dict_method(interpreter, name, self, arguments);
  if (self.has_list()) return call_list_method(interpreter, name, self, arguments);
  not_supported(self, name);
}

void update_dict(Heap& heap, Dict& dict, const Value& from) {
  require_defined(from);
  if (from.is(Kind::dict)) {
    // A copy, because `from` may be the same dict.
    const std::vector<Dict::Entry> entries(from.dict().entries.begin(), from.dict().entries.end());
    for (const Dict::Entry& entry : entries) dict.set(heap, entry.key, entry.value);
    return;
  }
  Cursor cursor(from);
  for (Value pair; cursor.next(heap, pair);) {
    const List& items = *collect(heap, pair);
    if (items.items.size() != 2) throw Fault("a dict is made from pairs");
    dict.set(heap, items.items[0], items.items[1]);
  }
}

Value view_of(Heap& heap, const Dict& dict, ViewOf which) {
  List* const list = heap.make<List>(heap);
  list->items.reserve(dict.entries.size());
  heap.step(static_cast<int64_t>(dict.entries.size()));
  for (const Dict::Entry& entry : dict.entries) {
    if (which == ViewOf::items) {
      List* const pair = heap.make<List>(heap);
      pair->items = {entry.key, entry.value};
      list->items.push_back(Value::tuple(pair));
    } else {
      list->items.push_back(which == ViewOf::keys ? entry.key : entry.value);
    }
  }
  return Value::view(list, which);
}

}  // namespace incipit::jinja
