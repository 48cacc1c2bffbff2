#include "jinja/value.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

constexpr int deepest_value = 200;  // of values within values

void check_depth(Heap& heap, int depth) {
  heap.step();
  if (depth > deepest_value) throw Fault("values lie too deep within one another");
}

constexpr uint8_t missing_element = 0x80;

std::string owner_name(Kind kind) {
  switch (kind) {
    case Kind::none: return "None";
    case Kind::name_space: return "jinja2.utils.Namespace object";
    case Kind::loop: return "jinja2.runtime.LoopContext object";
    case Kind::cycler: return "jinja2.utils.Cycler object";
    case Kind::joiner: return "jinja2.utils.Joiner object";
    case Kind::macro: return "jinja2.runtime.Macro object";
    case Kind::view: return "dict view object";
    case Kind::boolean: return "bool object";
    case Kind::integer:
    case Kind::large_integer: return "int object";
    case Kind::real: return "float object";
    case Kind::string: return "str object";
    case Kind::list: return "list object";
    case Kind::tuple: return "tuple object";
    case Kind::range: return "range object";
    case Kind::dict: return "dict object";
    case Kind::iterator: return "generator object";
    case Kind::function: return "function object";
    case Kind::method: return "builtin_function_or_method object";
    case Kind::undefined: return "Undefined";
  }
  return "object";
}

bool is_any_number(const Value& value) { return value.is_number() || value.is(Kind::large_integer); }

int compare_digits(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

/// Negative, 0 or positive; 0 where one is nan.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  const auto is_negative = [](const Value& v) { return v.text().front() == '-'; };
  if (a.is(Kind::large_integer) && b.is(Kind::large_integer)) {
    if (is_negative(a) != is_negative(b)) return is_negative(a) ? -1 : 1;
    return is_negative(a) ? compare_digits(b.text(), a.text()) : compare_digits(a.text(), b.text());
  }
  // Beyond all integers of 64 bits.
  if (a.is(Kind::large_integer) && b.is_integral()) return is_negative(a) ? -1 : 1;
  if (b.is(Kind::large_integer) && a.is_integral()) return is_negative(b) ? 1 : -1;
  const double left = float_of(a), right = float_of(b);
  return left < right ? -1 : left > right;
}

uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9e3779b97f4a7c15U;
  return x ^ x >> 29;
}

}  // namespace

Value Value::missing(const Value& owner, std::string_view name, bool element) {
  Value value = undefined(name);
  value.detail_ = static_cast<uint8_t>((static_cast<uint8_t>(owner.kind_) + 1) | (element ? missing_element : 0));
  return value;
}

std::string Value::why_undefined() const {
  if (detail_ == 0) return fmt::format("{} is undefined", python_quoted(text()));
  const std::string owner = owner_name(static_cast<Kind>((detail_ & ~missing_element) - 1));
  if ((detail_ & missing_element) != 0) return fmt::format("{} has no element {}", owner, text());
  return fmt::format("'{}' has no attribute {}", owner, python_quoted(text()));
}

double float_of(const Value& number) {
  if (!number.is(Kind::large_integer)) return number.number();
  return std::strtod(std::string(number.text()).c_str(), nullptr);
}

bool is_nan(const Value& value) { return value.is(Kind::real) && std::isnan(value.number()); }

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer:
    case Kind::large_integer: return "int";
    case Kind::real: return "float";
    case Kind::string: return "str";
    case Kind::list: return "list";
    case Kind::tuple: return "tuple";
    case Kind::view:
      return value.view_of() == ViewOf::keys     ? "dict_keys"
             : value.view_of() == ViewOf::values ? "dict_values"
                                                 : "dict_items";
    case Kind::range: return "range";
    case Kind::dict: return "dict";
    case Kind::iterator: return "generator";
    case Kind::name_space: return "Namespace";
    case Kind::loop: return "LoopContext";
    case Kind::cycler: return "Cycler";
    case Kind::joiner: return "Joiner";
    case Kind::function: return "function";
    case Kind::method: return "builtin_function_or_method";
    case Kind::macro: return "Macro";
  }
  return "object";
}

int64_t Range::size() const {
  // Unsigned, because the ends may lie further apart than an int64 tells.
  const auto distance = [](int64_t low, int64_t high) {
    return static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  };
  if (step > 0)
    return start < stop ? static_cast<int64_t>((distance(start, stop) - 1) / static_cast<uint64_t>(step)) + 1 : 0;
  const uint64_t stride = uint64_t{0} - static_cast<uint64_t>(step);
  return start > stop ? static_cast<int64_t>((distance(stop, start) - 1) / stride) + 1 : 0;
}

size_t Dict::position(Heap& heap, const Value& key) const {
  const uint64_t hash = hash_of(heap, key);
  if (slots.empty()) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (equal(heap, entries[i].key, key)) return i;
    }
    return none;
  }
  for (size_t slot = hash & (slots.size() - 1);; slot = (slot + 1) & (slots.size() - 1)) {
    if (slots[slot] == 0) return none;
    if (equal(heap, entries[slots[slot] - 1].key, key)) return slots[slot] - 1;
  }
}

const Value* Dict::find(Heap& heap, const Value& key) const {
  const size_t at = position(heap, key);
  return at == none ? nullptr : &entries[at].value;
}

void Dict::set(Heap& heap, const Value& key, const Value& value) {
  const size_t at = position(heap, key);
  if (at != none) {
    entries[at].value = value;
    return;
  }
  heap.check_items(entries.size() + 1);
  entries.push_back({key, value});
  if (slots.empty() && entries.size() <= searched_in_order) return;
  if (slots.size() < 2 * entries.size()) {
    make_table(heap, std::bit_ceil(4 * entries.size()));
  } else {
    enter(heap, entries.size() - 1);
  }
}

bool Dict::remove(Heap& heap, const Value& key) {
  const size_t at = position(heap, key);
  if (at == none) return false;
  heap.step(static_cast<int64_t>(entries.size()));
  entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
  if (!slots.empty()) make_table(heap, slots.size());
  return true;
}

void Dict::make_table(Heap& heap, size_t size) {
  slots.assign(size, 0);
  for (size_t i = 0; i < entries.size(); ++i) enter(heap, i);
}

void Dict::enter(Heap& heap, size_t entry) {
  size_t slot = hash_of(heap, entries[entry].key) & (slots.size() - 1);
  while (slots[slot] != 0) slot = (slot + 1) & (slots.size() - 1);
  slots[slot] = static_cast<uint32_t>(entry + 1);
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean:
    case Kind::integer: return value.integer() != 0;
    case Kind::real: return value.number() != 0;
    case Kind::string: return !value.text().empty();
    case Kind::list:
    case Kind::tuple:
    case Kind::view: return !value.list().items.empty();
    case Kind::dict: return !value.dict().entries.empty();
    case Kind::range: return value.range().size() != 0;
    default: return true;
  }
}

bool identical(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined: return false;
    case Kind::none: return true;
    case Kind::boolean:
    case Kind::integer: return a.integer() == b.integer();
    case Kind::real: return a.number() == b.number();
    case Kind::large_integer:
    case Kind::string: return a.text() == b.text();
    case Kind::function: return a.function() == b.function();
    default: return a.identity() == b.identity();
  }
}

bool equal(Heap& heap, const Value& a, const Value& b, int depth) {
  check_depth(heap, depth);
  if (a.kind() != b.kind() && is_any_number(a) && is_any_number(b)) {
    return !is_nan(a) && !is_nan(b) && compare_numbers(a, b) == 0;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none: return true;
    case Kind::boolean:
    case Kind::integer: return a.integer() == b.integer();
    case Kind::real: return a.number() == b.number();
    case Kind::large_integer:
    case Kind::string: heap.step_bytes(std::min(a.text().size(), b.text().size())); return a.text() == b.text();
    case Kind::list:
    case Kind::tuple: {
      const auto &left = a.list().items, &right = b.list().items;
      if (left.size() != right.size()) return false;
      for (size_t i = 0; i < left.size(); ++i) {
        if (!equal(heap, left[i], right[i], depth + 1)) return false;
      }
      return true;
    }
    case Kind::dict: {
      if (a.dict().entries.size() != b.dict().entries.size()) return false;
      for (const Dict::Entry& entry : a.dict().entries) {
        const Value* other = b.dict().find(heap, entry.key);
        if (other == nullptr || !equal(heap, entry.value, *other, depth + 1)) return false;
      }
      return true;
    }
    case Kind::range: {
      const Range &left = a.range(), &right = b.range();
      if (left.size() != right.size()) return false;
      if (left.size() == 0) return true;
      return left.start == right.start && (left.size() == 1 || left.step == right.step);
    }
    case Kind::method: return a.method().name == b.method().name && identical(a.method().self, b.method().self);
    default: return identical(a, b);
  }
}

int compare(Heap& heap, const Value& a, const Value& b, std::string_view sign, int depth) {
  check_depth(heap, depth);
  require_defined(a);
  require_defined(b);
  if (is_any_number(a) && is_any_number(b)) return compare_numbers(a, b);
  if (a.is_string() && b.is_string()) {
    heap.step_bytes(std::min(a.text().size(), b.text().size()));
    return a.text().compare(b.text());  // UTF-8 sorts as its code points do
  }
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    const auto &left = a.list().items, &right = b.list().items;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(heap, left[i], right[i], depth + 1)) return compare(heap, left[i], right[i], sign, depth + 1);
    }
    return left.size() < right.size() ? -1 : left.size() > right.size();
  }
  throw Fault(fmt::format("'{}' not supported between instances of '{}' and '{}'", sign, type_name(a), type_name(b)));
}

uint64_t hash_of(Heap& heap, const Value& value, int depth) {
  check_depth(heap, depth);
  switch (value.kind()) {
    case Kind::string: heap.step_bytes(value.text().size()); return mix(std::hash<std::string_view>()(value.text()));
    case Kind::boolean:
    case Kind::integer: return mix(static_cast<uint64_t>(value.integer()));
    case Kind::real: {
      // As the integer that it is equal to, if any.
      const double number = value.number();
      if (number >= -0x1p62 && number <= 0x1p62 && std::trunc(number) == number) {
        return mix(static_cast<uint64_t>(static_cast<int64_t>(number)));
      }
      return mix(std::bit_cast<uint64_t>(number));
    }
    case Kind::large_integer: return mix(std::bit_cast<uint64_t>(float_of(value)));
    case Kind::tuple: {
      uint64_t hash = 7;
      for (const Value& item : value.list().items) hash = mix(hash * 31 + hash_of(heap, item, depth + 1));
      return hash;
    }
    case Kind::list:
    case Kind::dict: throw Fault(fmt::format("unhashable type: '{}'", type_name(value)));
    case Kind::undefined:
    case Kind::none:
    case Kind::function: return mix(static_cast<uint64_t>(value.kind()));
    case Kind::method: return mix(std::hash<std::string_view>()(value.method().name));
    case Kind::range: return mix(static_cast<uint64_t>(value.range().size()));
    default: return mix(reinterpret_cast<uintptr_t>(value.identity()));
  }
}

void require_defined(const Value& value) {
  if (value.is_undefined()) throw Fault(value.why_undefined());
}

}  // namespace incipit::jinja
