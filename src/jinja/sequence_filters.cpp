// Filters of lists, dicts and whatever can be iterated over.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "jinja/filters.h"
#include "jinja/print.h"
#include "jinja/python_case.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

using Names1 = std::array<std::string_view, 1>;
using Names2 = std::array<std::string_view, 2>;
using Names3 = std::array<std::string_view, 3>;

Value iterator_of(Heap& heap, List* list) { return Value::iterator(heap.make<Iterator>(Iterator{list})); }

bool is_given(const std::optional<Value>& value) { return value && !value->is(Kind::none); }

/// What an item is sorted or told apart by: its attribute, texts in lower case unless `exact`.
Value key_of(Interpreter& interpreter, const Value& item, const std::optional<Value>& path, bool exact) {
  const Value key = is_given(path) ? reach(interpreter, item, *path) : item;
  if (exact || !key.is_string()) return key;
  return Value::string(interpreter.heap().keep(lower(key.text())));
}

/// What sort() goes by: one key for each of the paths that commas part, in a list, so that items whose keys are equal
/// need not be ordered.
Value keys_of(Interpreter& interpreter, const Value& item, const std::optional<Value>& paths, bool exact) {
  Heap& heap = interpreter.heap();
  List* const keys = heap.make<List>(heap);
  if (!is_given(paths) || !paths->is_string()) {
    keys->add(heap, key_of(interpreter, item, paths, exact));
    return Value::list(keys);
  }
  for (std::string_view rest = paths->text();;) {
    const std::string_view path = rest.substr(0, rest.find(','));
    keys->add(heap, key_of(interpreter, item, Value::string(path), exact));
    if (path.size() == rest.size()) return Value::list(keys);
    rest.remove_prefix(path.size() + 1);
  }
}

struct Keyed {
  Value key, item;
};

std::vector<Keyed> keyed_items(Interpreter& interpreter, const Value& input, const std::optional<Value>& path,
                               bool exact) {
  std::vector<Keyed> keyed;
  for (const Value& item : collect(interpreter.heap(), input)->items) {
    keyed.push_back({key_of(interpreter, item, path, exact), item});
  }
  return keyed;
}

void sort_by_key(Heap& heap, std::vector<Keyed>& keyed, bool backwards) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    const int order = compare(heap, a.key, b.key);
    return backwards ? order > 0 : order < 0;
  });
}

Value batch(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [count, fill] = match_arguments(arguments, "batch", Names2{"linecount", "fill_with"}, 1);
  const int64_t size = integer_argument(*count, "batch");
  if (size < 1) throw Fault("batch() needs a count of 1 or more");
  List* const rows = heap.make<List>(heap);
  Cursor cursor(input);
  List* row = nullptr;
  for (Value item; cursor.next(heap, item);) {
    if (row == nullptr || static_cast<int64_t>(row->items.size()) == size) {
      row = heap.make<List>(heap);
      rows->add(heap, Value::list(row));
    }
    row->add(heap, item);
  }
  if (row != nullptr && is_given(fill)) {
    while (static_cast<int64_t>(row->items.size()) < size) row->add(heap, *fill), heap.step();
  }
  return iterator_of(heap, rows);
}

Value sort_dict(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [exact, by, backwards] = match_arguments(arguments, "dictsort", Names3{"case_sensitive", "by", "reverse"});
  const std::string_view what = by ? text_argument(*by, "dictsort") : "key";
  if (what != "key" && what != "value") throw Fault("You can only sort by either \"key\" or \"value\"");
  require_defined(input);
  if (!input.is(Kind::dict)) throw Fault(fmt::format("dictsort() needs a mapping, not '{}'", type_name(input)));
  std::vector<Keyed> keyed;
  for (const Value& pair : view_of(heap, input.dict(), ViewOf::items).list().items) {
    const Value& key = pair.list().items[what == "key" ? 0 : 1];
    keyed.push_back({key_of(interpreter, key, std::nullopt, exact && truth(*exact)), pair});
  }
  sort_by_key(heap, keyed, backwards && truth(*backwards));
  List* const result = heap.make<List>(heap);
  for (const Keyed& one : keyed) result->add(heap, one.item);
  return Value::list(result);
}

Value first(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "first");
  Value item;
  return Cursor(input).next(interpreter.heap(), item) ? item : Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "last");
  if (input.is(Kind::iterator)) throw Fault("'generator' object is not reversible");
  const List& items = *collect(interpreter.heap(), input);
  return items.items.empty() ? Value::undefined("No last item, sequence was empty.") : items.items.back();
}

Value group_by(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [path, otherwise, exact] =
      match_arguments(arguments, "groupby", Names3{"attribute", "default", "case_sensitive"}, 1);
  std::vector<Keyed> keyed;
  for (const Value& item : collect(heap, input)->items) {
    const Value title = reach(interpreter, item, *path, otherwise);
    const bool as_it_is = (exact && truth(*exact)) || !title.is_string();
    List* const pair = heap.make<List>(heap);
    pair->items = {title, item};
    keyed.push_back({as_it_is ? title : Value::string(heap.keep(lower(title.text()))), Value::tuple(pair)});
  }
  sort_by_key(heap, keyed, false);
  List* const groups = heap.make<List>(heap);
  for (size_t i = 0; i < keyed.size(); ++i) {
    const auto& pair = keyed[i].item.list().items;
    if (i == 0 || !equal(heap, keyed[i - 1].key, keyed[i].key)) {
      List* const group = heap.make<List>(heap);
      group->items = {pair[0], Value::list(heap.make<List>(heap))};
      groups->add(heap, Value::group(group));
    }
    groups->items.back().list().items[1].list().add(heap, pair[1]);
  }
  return Value::list(groups);
}

Value items(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  expect_no_arguments(arguments, "items");
  if (input.is_undefined()) return iterator_of(heap, heap.make<List>(heap));
  if (!input.is(Kind::dict)) throw Fault("Can only get item pairs from a mapping.");
  return iterator_of(heap, &view_of(heap, input.dict(), ViewOf::items).list());
}

Value join(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [separator, path] = match_arguments(arguments, "join", Names2{"d", "attribute"});
  const std::string_view between = separator ? text_of(heap, *separator) : std::string_view();
  std::string text;
  Cursor cursor(input);
  bool is_first = true;
  for (Value item; cursor.next(heap, item); is_first = false) {
    if (!is_first) {
      heap.step_bytes(between.size());
      text += between;
    }
    append_text(heap, text, is_given(path) ? reach(interpreter, item, *path) : item);
  }
  return Value::string(heap.keep(text));
}

Value length_of(Interpreter&, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "length");
  const auto size = length(input);
  if (!size) throw Fault(fmt::format("object of type '{}' has no len()", type_name(input)));
  return Value::integer(*size);
}

Value list(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "list");
  return Value::list(collect(interpreter.heap(), input));
}

/// map("filter", arguments…), or map(attribute=…, default=…).
Value map(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  List* const result = heap.make<List>(heap);
  if (!truth(input)) return iterator_of(heap, result);  // none too, as Jinja has it
  if (arguments.positional.empty()) {
    const auto [path, otherwise] = match_arguments(arguments, "map", Names2{"attribute", "default"}, 1);
    for (const Value& item : collect(heap, input)->items) {
      result->add(heap, reach(interpreter, item, *path, otherwise));
    }
    return iterator_of(heap, result);
  }
  const std::string_view name = text_argument(arguments.positional.front(), "map");
  const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.keywords};
  for (const Value& item : collect(heap, input)->items) result->add(heap, apply_filter(interpreter, name, item, rest));
  return iterator_of(heap, result);
}

template <bool largest>
Value extreme(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [exact, path] = match_arguments(arguments, largest ? "max" : "min", Names2{"case_sensitive", "attribute"});
  const auto keyed = keyed_items(interpreter, input, path, exact && truth(*exact));
  if (keyed.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &keyed.front();
  for (const Keyed& one : keyed) {
    const int order = compare(interpreter.heap(), one.key, best->key, largest ? ">" : "<");
    if (largest ? order > 0 : order < 0) best = &one;
  }
  return best->item;
}

Value reverse(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  expect_no_arguments(arguments, "reverse");
  if (input.is_string()) return slice(heap, input, std::nullopt, std::nullopt, Value::integer(-1));
  List* const result = collect(heap, input);
  std::reverse(result->items.begin(), result->items.end());
  return iterator_of(heap, result);
}

/// select("test", …), reject, and with an attribute first, selectattr and rejectattr. Without a test, truth counts.
template <bool of_attribute, bool wanted>
Value choose(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  constexpr size_t before_test = of_attribute ? 1 : 0;
  const auto& given = arguments.positional;
  if (given.size() < before_test) throw Fault("Missing parameter for attribute name");
  std::string_view test;
  Arguments rest;
  if (given.size() > before_test) {
    test = text_argument(given[before_test], "select");
    rest = {{given.begin() + before_test + 1, given.end()}, arguments.keywords};
  }
  List* const result = heap.make<List>(heap);
  if (!truth(input)) return iterator_of(heap, result);  // none too, as Jinja has it
  Cursor cursor(input);
  for (Value item; cursor.next(heap, item);) {
    const Value subject = of_attribute ? reach(interpreter, item, given.front()) : item;
    const bool passes = test.empty() ? truth(subject) : apply_test(interpreter, test, subject, rest);
    if (passes == wanted) result->add(heap, item);
  }
  return iterator_of(heap, result);
}

Value slices(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [count, fill] = match_arguments(arguments, "slice", Names2{"slices", "fill_with"}, 1);
  const int64_t wanted = integer_argument(*count, "slice");
  if (wanted < 1) throw Fault("slice() needs a count of 1 or more");
  heap.check_items(static_cast<size_t>(wanted));
  const List& all = *collect(heap, input);
  const auto size = static_cast<int64_t>(all.items.size());
  const int64_t each = size / wanted, longer = size % wanted;
  List* const result = heap.make<List>(heap);
  size_t next = 0;
  for (int64_t i = 0; i < wanted; ++i) {
    heap.step();
    List* const part = heap.make<List>(heap);
    for (int64_t j = 0; j < each + (i < longer ? 1 : 0); ++j) part->add(heap, all.items[next++]);
    if (is_given(fill) && i >= longer) part->add(heap, *fill);
    result->add(heap, Value::list(part));
  }
  return iterator_of(heap, result);
}

Value sort(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [backwards, exact, path] =
      match_arguments(arguments, "sort", Names3{"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> keyed;
  for (const Value& item : collect(heap, input)->items) {
    keyed.push_back({keys_of(interpreter, item, path, exact && truth(*exact)), item});
  }
  sort_by_key(heap, keyed, backwards && truth(*backwards));
  List* const result = heap.make<List>(heap);
  for (const Keyed& one : keyed) result->add(heap, one.item);
  return Value::list(result);
}

Value sum(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [path, start] = match_arguments(arguments, "sum", Names2{"attribute", "start"});
  Value total = start.value_or(Value::integer(0));
  if (total.is_string()) throw Fault("sum() can't sum strings");
  for (const Value& item : collect(heap, input)->items) {
    total = apply(heap, Operator::add, total, is_given(path) ? reach(interpreter, item, *path) : item);
  }
  return total;
}

Value unique(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [exact, path] = match_arguments(arguments, "unique", Names2{"case_sensitive", "attribute"});
  Dict seen(heap);
  List* const result = heap.make<List>(heap);
  for (const Keyed& one : keyed_items(interpreter, input, path, exact && truth(*exact))) {
    if (seen.find(heap, one.key) != nullptr) continue;
    seen.set(heap, one.key, Value::none());
    result->add(heap, one.item);
  }
  return iterator_of(heap, result);
}

constexpr Filter filters[] = {
    {"batch", batch},
    {"count", length_of},
    {"dictsort", sort_dict},
    {"first", first},
    {"groupby", group_by},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length_of},
    {"list", list},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", choose<false, false>},
    {"rejectattr", choose<true, false>},
    {"reverse", reverse},
    {"select", choose<false, true>},
    {"selectattr", choose<true, true>},
    {"slice", slices},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

std::span<const Filter> sequence_filters() { return filters; }

Value reach(Interpreter& interpreter, const Value& value, const Value& path, const std::optional<Value>& otherwise) {
  const auto part = [&](const Value& from, const Value& key) {
    const Value found = interpreter.item(from, key);
    return found.is_undefined() && is_given(otherwise) ? *otherwise : found;
  };
  if (!path.is_string()) return part(value, path);
  Value reached = value;
  for (std::string_view rest = path.text();;) {
    const std::string_view name = rest.substr(0, rest.find('.'));
    const bool number = all_characters(name, is_decimal);
    const auto index = number ? parse_python_integer(name, 10) : std::nullopt;
    reached = part(reached, index ? Value::integer(*index) : Value::string(name));
    if (name.size() == rest.size()) return reached;
    rest.remove_prefix(name.size() + 1);
  }
}

}  // namespace incipit::jinja
