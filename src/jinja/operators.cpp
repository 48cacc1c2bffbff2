#include "jinja/operators.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/utf8.h"
#include "jinja/print.h"
#include "jinja/python_format.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

constexpr std::string_view sign_of(Operator which) {
  switch (which) {
    case Operator::add: return "+";
    case Operator::subtract: return "-";
    case Operator::multiply: return "*";
    case Operator::divide: return "/";
    case Operator::floor_divide: return "//";
    case Operator::modulo: return "%";
    case Operator::power: return "**";
    case Operator::less: return "<";
    case Operator::less_equal: return "<=";
    case Operator::greater: return ">";
    case Operator::greater_equal: return ">=";
    default: return "==";
  }
}

[[noreturn]] void refuse(Operator which, const Value& left, const Value& right) {
  if (which == Operator::add && left.is_string()) {
    throw Fault(fmt::format("can only concatenate str (not \"{}\") to str", type_name(right)));
  }
  throw Fault(fmt::format("unsupported operand types for {}: '{}' and '{}'", sign_of(which), type_name(left),
                          type_name(right)));
}

void refuse_overflow(bool overflows) {
  if (overflows) throw Fault("an integer is beyond 64 bits");
}

int64_t floor_quotient(int64_t a, int64_t b) {
  refuse_overflow(a == std::numeric_limits<int64_t>::min() && b == -1);
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double float_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return rest;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw Fault("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  // By squares: at most 63 rounds, since larger exponents overflow or have a base of -1, 0 or 1.
  for (bool square_overflows = false; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) {
      refuse_overflow(square_overflows || __builtin_mul_overflow(result, base, &result));
    }
    if (exponent > 1) square_overflows = square_overflows || __builtin_mul_overflow(base, base, &base);
  }
  return Value::integer(result);
}

Value integer_division(Operator which, int64_t a, int64_t b) {
  if (b == 0) throw Fault("division by zero");
  if (which == Operator::divide) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (which == Operator::floor_divide) return Value::integer(floor_quotient(a, b));
  if (b == -1) return Value::integer(0);
  const int64_t rest = a % b;
  return Value::integer(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

Value integer_arithmetic(Operator which, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (which) {
    case Operator::add: overflows = __builtin_add_overflow(a, b, &result); break;
    case Operator::subtract: overflows = __builtin_sub_overflow(a, b, &result); break;
    case Operator::multiply: overflows = __builtin_mul_overflow(a, b, &result); break;
    case Operator::power: return integer_power(a, b);
    default: return integer_division(which, a, b);
  }
  refuse_overflow(overflows);
  return Value::integer(result);
}

Value float_arithmetic(Operator which, double a, double b) {
  switch (which) {
    case Operator::add: return Value::real(a + b);
    case Operator::subtract: return Value::real(a - b);
    case Operator::multiply: return Value::real(a * b);
    case Operator::power: return Value::real(std::pow(a, b));
    default: break;
  }
  if (b == 0) throw Fault("division by zero");
  if (which == Operator::divide) return Value::real(a / b);
  if (which == Operator::floor_divide) return Value::real(std::floor(a / b));
  return Value::real(float_modulo(a, b));
}

Value repeated(Heap& heap, const Value& value, int64_t times) {
  const size_t count = times < 0 ? 0 : static_cast<size_t>(times);
  if (value.is_string()) {
    const std::string_view text = value.text();
    if (text.empty() || count == 0) return Value::string({});
    if (count > heap.limits().string_bytes / text.size()) heap.check_string(static_cast<size_t>(-1));
    char* const room = heap.room(text.size() * count);
    for (size_t i = 0; i < count; ++i) std::memcpy(room + i * text.size(), text.data(), text.size());
    return Value::string({room, text.size() * count}).with_markup(value.is_markup());
  }
  List* const result = heap.make<List>(heap);
  const auto& items = value.list().items;
  if (!items.empty() && count > 0) {
    if (count > heap.limits().items / items.size()) heap.check_items(static_cast<size_t>(-1));
    heap.step(static_cast<int64_t>(items.size() * count));
    result->items.reserve(items.size() * count);
    for (size_t i = 0; i < count; ++i) result->items.insert(result->items.end(), items.begin(), items.end());
  }
  return value.is(Kind::tuple) ? Value::tuple(result) : Value::list(result);
}

Value joined_lists(Heap& heap, const Value& left, const Value& right) {
  List* const result = heap.make<List>(heap);
  const auto &first = left.list().items, &second = right.list().items;
  heap.check_items(first.size() + second.size());
  heap.step(static_cast<int64_t>(first.size() + second.size()));
  result->items.reserve(first.size() + second.size());
  result->items.insert(result->items.end(), first.begin(), first.end());
  result->items.insert(result->items.end(), second.begin(), second.end());
  return left.is(Kind::tuple) ? Value::tuple(result) : Value::list(result);
}

Value joined_texts(Heap& heap, std::string_view left, std::string_view right) {
  if (left.empty()) return Value::string(right);
  if (right.empty()) return Value::string(left);
  return Value::string(heap.join(left, right));
}

bool repeats(const Value& value) { return value.is_string() || value.is(Kind::list) || value.is(Kind::tuple); }

/// Every `stride`th number from number `first` of a range to number `end`.
Range sliced(const Range& range, int64_t first, int64_t end, int64_t stride) {
  Range result{};
  const auto number = [&](int64_t position, int64_t& value) {
    int64_t offset = 0;
    refuse_overflow(__builtin_mul_overflow(position, range.step, &offset));
    refuse_overflow(__builtin_add_overflow(range.start, offset, &value));
  };
  number(first, result.start);
  number(end, result.stop);
  refuse_overflow(__builtin_mul_overflow(range.step, stride, &result.step));
  return result;
}

int64_t slice_bound(const std::optional<Value>& bound, int64_t otherwise, int64_t size, bool backwards) {
  if (!bound || bound->is(Kind::none)) return otherwise;
  require_defined(*bound);
  if (!bound->is_integral()) throw Fault("slice indices must be integers or None");
  const int64_t lowest = backwards ? -1 : 0, highest = backwards ? size - 1 : size;
  int64_t index = bound->integer();
  if (index < 0) index = index < -size ? lowest : index + size;
  return std::min(std::max(index, lowest), highest);
}

}  // namespace

Value apply(Heap& heap, Operator which, const Value& left, const Value& right) {
  require_defined(left);
  if (which == Operator::modulo && left.is_string()) return percent_format(heap, left.text(), right);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return integer_arithmetic(which, left.integer(), right.integer());
    return float_arithmetic(which, left.number(), right.number());
  }
  if (which == Operator::add) {
    if (left.is_string() && right.is_string()) {
      if (!left.is_markup() && !right.is_markup()) return joined_texts(heap, left.text(), right.text());
      return joined_texts(heap, escaped(heap, left).text(), escaped(heap, right).text()).with_markup(true);
    }
    if (left.kind() == right.kind() && (left.is(Kind::list) || left.is(Kind::tuple))) {
      return joined_lists(heap, left, right);
    }
  }
  refuse_overflow(left.is(Kind::large_integer) || right.is(Kind::large_integer));
  if (which == Operator::multiply) {
    if (repeats(left) && right.is_integral()) return repeated(heap, left, right.integer());
    if (repeats(right) && left.is_integral()) return repeated(heap, right, left.integer());
  }
  refuse(which, left, right);
}

Value negative(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return Value::real(-value.number());
  refuse_overflow(value.is(Kind::large_integer));
  if (!value.is_integral()) throw Fault(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
  return integer_arithmetic(Operator::subtract, 0, value.integer());
}

Value positive(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real) || value.is(Kind::large_integer)) return value;
  if (!value.is_integral()) throw Fault(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
  return Value::integer(value.integer());
}

bool holds(Heap& heap, Operator which, const Value& left, const Value& right) {
  const bool in_order = !is_nan(left) && !is_nan(right);  // nan is neither less than a number nor as large
  switch (which) {
    case Operator::equal: return equal(heap, left, right);
    case Operator::not_equal: return !equal(heap, left, right);
    case Operator::less: return compare(heap, left, right, "<") < 0 && in_order;
    case Operator::less_equal: return compare(heap, left, right, "<=") <= 0 && in_order;
    case Operator::greater: return compare(heap, left, right, ">") > 0 && in_order;
    case Operator::greater_equal: return compare(heap, left, right, ">=") >= 0 && in_order;
    case Operator::in: return contains(heap, right, left);
    default: return !contains(heap, right, left);
  }
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  if (container.is_string()) {
    require_defined(item);
    if (!item.is_string()) {
      throw Fault(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    }
    heap.step_bytes(container.text().size());
    return container.text().find(item.text()) != std::string_view::npos;
  }
  if (container.is(Kind::dict)) return container.dict().find(heap, item) != nullptr;
  if (!can_iterate(container)) {
    throw Fault(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  Cursor cursor(container);
  for (Value one; cursor.next(heap, one);) {
    if (equal(heap, one, item)) return true;
  }
  return false;
}

Value slice(Heap& heap, const Value& object, const std::optional<Value>& start, const std::optional<Value>& stop,
            const std::optional<Value>& step) {
  require_defined(object);
  const bool text = object.is_string();
  if (!text && !object.is(Kind::list) && !object.is(Kind::tuple) && !object.is(Kind::range)) {
    if (object.is(Kind::dict)) throw Fault("unhashable type: 'slice'");
    throw Fault(fmt::format("'{}' object is not subscriptable", type_name(object)));
  }
  int64_t stride = 1;
  if (step && !step->is(Kind::none)) {
    if (!step->is_integral()) throw Fault("slice indices must be integers or None");
    stride = step->integer();
    if (stride == 0) throw Fault("slice step cannot be zero");
  }
  if (text) heap.step_bytes(object.text().size());
  const int64_t size = text ? static_cast<int64_t>(count_characters(object.text())) : *length(object);
  const bool backwards = stride < 0;
  const int64_t first = slice_bound(start, backwards ? size - 1 : 0, size, backwards);
  const int64_t end = slice_bound(stop, backwards ? -1 : size, size, backwards);
  if (text && stride == 1) {
    const std::string_view whole = object.text();
    const size_t begin = byte_of_character(whole, static_cast<size_t>(first));
    const std::string_view rest = whole.substr(begin);
    const auto characters = static_cast<size_t>(std::max<int64_t>(0, end - first));
    return Value::string(rest.substr(0, byte_of_character(rest, characters))).with_markup(object.is_markup());
  }
  if (object.is(Kind::range)) return Value::range(heap.make<Range>(sliced(object.range(), first, end, stride)));
  const Range picked{first, end, stride};
  const int64_t count = picked.size();
  heap.step(count);
  if (text) {
    const size_t scratch = static_cast<size_t>(size) * sizeof(std::string_view);
    heap.use_memory(scratch);
    std::vector<std::string_view> characters;
    for (size_t at = 0; at < object.text().size();) {
      const size_t bytes = utf8_unit_at(object.text(), at).size;
      characters.push_back(object.text().substr(at, bytes));
      at += bytes;
    }
    heap.step(size);
    std::string result;
    for (int64_t i = 0; i < count; ++i) result += characters[static_cast<size_t>(picked.at(i))];
    heap.release_memory(scratch);
    return Value::string(heap.keep(result)).with_markup(object.is_markup());
  }
  List* const result = heap.make<List>(heap);
  for (int64_t i = 0; i < count; ++i) {
    result->add(heap, object.list().items[static_cast<size_t>(picked.at(i))]);
  }
  return object.is(Kind::tuple) ? Value::tuple(result) : Value::list(result);
}

std::optional<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return 0;
    case Kind::string: return static_cast<int64_t>(count_characters(value.text()));
    case Kind::list:
    case Kind::tuple:
    case Kind::view: return static_cast<int64_t>(value.list().items.size());
    case Kind::dict: return static_cast<int64_t>(value.dict().entries.size());
    case Kind::range: return value.range().size();
    default: return std::nullopt;
  }
}

bool can_iterate(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::view:
    case Kind::range:
    case Kind::dict:
    case Kind::iterator: return true;
    default: return false;
  }
}

Cursor::Cursor(const Value& iterable) : iterable_(iterable) {
  if (!can_iterate(iterable)) throw Fault(fmt::format("'{}' object is not iterable", type_name(iterable)));
}

bool Cursor::next(Heap& heap, Value& item) {
  heap.step();
  switch (iterable_.kind()) {
    case Kind::string: {
      const std::string_view text = iterable_.text();
      if (position_ >= text.size()) return false;
      const size_t bytes = utf8_unit_at(text, position_).size;
      item = Value::string(text.substr(position_, bytes));
      position_ += bytes;
      return true;
    }
    case Kind::list:
    case Kind::tuple:
    case Kind::view:
      if (position_ >= iterable_.list().items.size()) return false;
      item = iterable_.list().items[position_++];
      return true;
    case Kind::dict:
      if (position_ >= iterable_.dict().entries.size()) return false;
      item = iterable_.dict().entries[position_++].key;
      return true;
    case Kind::range:
      if (static_cast<int64_t>(position_) >= iterable_.range().size()) return false;
      item = Value::integer(iterable_.range().at(static_cast<int64_t>(position_++)));
      return true;
    case Kind::iterator: {
      Iterator& iterator = iterable_.iterator();
      if (iterator.next >= iterator.list->items.size()) return false;
      item = iterator.list->items[iterator.next++];
      return true;
    }
    default: return false;
  }
}

List* collect(Heap& heap, const Value& iterable) {
  List* const result = heap.make<List>(heap);
  Cursor cursor(iterable);
  for (Value item; cursor.next(heap, item);) result->add(heap, item);
  return result;
}

}  // namespace incipit::jinja
