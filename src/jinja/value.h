// Values of a template: Python's, as far as templates see them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/fault.h"
#include "jinja/heap.h"

namespace incipit::jinja {

enum class Kind : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  large_integer,  // beyond 64 bits: can be written and compared, and not computed with
  real,
  string,
  list,
  tuple,
  view,  // of a dict's keys, values or items, as they were when it was taken
  range,
  dict,
  iterator,  // a generator: gives each item once
  name_space,
  loop,
  cycler,
  joiner,
  function,
  method,
  macro,
};

class Value;
struct List;
struct Dict;
struct Range;
struct Iterator;
struct Cycler;
struct Joiner;
struct Method;
struct Macro;
struct Loop;
enum class Function : uint8_t;

/// Which part of a dict a view shows.
enum class ViewOf : uint8_t { keys, values, items };

/// Sixteen bytes. Whatever it points to lies in the Heap of the rendering, or in the template itself.
class Value {
 public:
  Value() = default;  // undefined, of no name
  static Value none() { return Value(Kind::none); }
  static Value boolean(bool value) {
    return Value(Kind::boolean).with([&](Value& v) { v.integer_ = value; });
  }
  static Value integer(int64_t value) {
    return Value(Kind::integer).with([&](Value& v) { v.integer_ = value; });
  }
  /// Decimal digits, after a minus perhaps, which live as a string's bytes.
  static Value large_integer(std::string_view digits) { return Value(Kind::large_integer).with_text(digits); }
  static Value real(double value) {
    return Value(Kind::real).with([&](Value& v) { v.real_ = value; });
  }
  /// The bytes must live as long as the value: in the heap, or in the template.
  static Value string(std::string_view text) { return Value(Kind::string).with_text(text); }
  static Value list(List* list) { return Value(Kind::list).pointing(list); }
  static Value tuple(List* list) { return Value(Kind::tuple).pointing(list); }
  /// A tuple of a group's title and its items, which have names.
  static Value group(List* list) {
    return tuple(list).with([](Value& v) { v.detail_ = 1; });
  }
  static Value view(List* list, ViewOf of) {
    return Value(Kind::view).pointing(list).with([&](Value& v) { v.detail_ = static_cast<uint8_t>(of); });
  }
  static Value dict(Dict* dict) { return Value(Kind::dict).pointing(dict); }
  static Value range(Range* range) { return Value(Kind::range).pointing(range); }
  static Value iterator(Iterator* iterator) { return Value(Kind::iterator).pointing(iterator); }
  static Value name_space(Dict* dict) { return Value(Kind::name_space).pointing(dict); }
  static Value loop(Loop* loop) { return Value(Kind::loop).pointing(loop); }
  static Value cycler(Cycler* cycler) { return Value(Kind::cycler).pointing(cycler); }
  static Value joiner(Joiner* joiner) { return Value(Kind::joiner).pointing(joiner); }
  static Value method(Method* method) { return Value(Kind::method).pointing(method); }
  static Value macro(Macro* macro) { return Value(Kind::macro).pointing(macro); }
  static Value function(Function function) {
    return Value(Kind::function).with([&](Value& v) { v.detail_ = static_cast<uint8_t>(function); });
  }
  /// Whether a string is markup already, so that what it is joined with is escaped: what `safe` and `escape` give.
  Value with_markup(bool markup) const {
    Value value = *this;
    value.detail_ = markup ? 1 : 0;
    return value;
  }
  /// A variable that nobody set. The text must live as long as the value.
  static Value undefined(std::string_view name) { return Value(Kind::undefined).with_text(name); }
  /// What `owner` lacks: the attribute or key `name`, or (`element`) the item written `name`.
  static Value missing(const Value& owner, std::string_view name, bool element = false);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_markup() const { return kind_ == Kind::string && detail_ != 0; }
  bool is_group() const { return kind_ == Kind::tuple && detail_ != 0; }
  /// That can be computed with.
  bool is_number() const { return kind_ == Kind::boolean || kind_ == Kind::integer || kind_ == Kind::real; }
  /// Python's bool is an int.
  bool is_integral() const { return kind_ == Kind::boolean || kind_ == Kind::integer; }
  /// Has items in a List: list, tuple or view.
  bool has_list() const { return kind_ == Kind::list || kind_ == Kind::tuple || kind_ == Kind::view; }

  bool boolean() const { return integer_ != 0; }
  int64_t integer() const { return integer_; }
  double number() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }
  /// A large integer's is its digits.
  std::string_view text() const { return {text_, size_}; }
  List& list() const { return *static_cast<List*>(object_); }
  Dict& dict() const { return *static_cast<Dict*>(object_); }  // of a namespace too
  Range& range() const { return *static_cast<Range*>(object_); }
  Iterator& iterator() const { return *static_cast<Iterator*>(object_); }
  Cycler& cycler() const { return *static_cast<Cycler*>(object_); }
  Joiner& joiner() const { return *static_cast<Joiner*>(object_); }
  Method& method() const { return *static_cast<Method*>(object_); }
  Macro& macro() const { return *static_cast<Macro*>(object_); }
  Loop& loop() const { return *static_cast<Loop*>(object_); }
  Function function() const { return static_cast<Function>(detail_); }
  ViewOf view_of() const { return static_cast<ViewOf>(detail_); }
  const void* identity() const { return object_; }
  /// "'x' is undefined", or what is missing where.
  std::string why_undefined() const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  template <typename Set>
  Value with(const Set& set) {
    set(*this);
    return *this;
  }
  Value with_text(std::string_view text) {
    text_ = text.data();
    size_ = static_cast<uint32_t>(text.size());
    return *this;
  }
  Value pointing(void* object) {
    object_ = object;
    return *this;
  }

  Kind kind_ = Kind::undefined;
  uint8_t detail_ = 0;  // function, view, whether it is markup or a group, or an undefined value's owner
  uint32_t size_ = 0;   // of the text
  union {
    int64_t integer_ = 0;
    double real_;
    const char* text_;
    void* object_;
  };
};
static_assert(sizeof(Value) == 16);

struct List {
  explicit List(Heap& heap) : items(heap.resource()) {}
  void add(Heap& heap, Value value) {
    heap.check_items(items.size() + 1);
    items.push_back(value);
  }
  std::pmr::vector<Value> items;
};

/// Keeps the order of insertion. Keys are hashable values.
struct Dict {
  struct Entry {
    Value key, value;
  };
  explicit Dict(Heap& heap) : entries(heap.resource()), slots(heap.resource()) {}

  /// Null when there is none. Throws Fault for a key that cannot be one.
  const Value* find(Heap& heap, const Value& key) const;
  const Value* find(Heap& heap, std::string_view key) const { return find(heap, Value::string(key)); }
  void set(Heap& heap, const Value& key, const Value& value);
  bool remove(Heap& heap, const Value& key);

  std::pmr::vector<Entry> entries;

 private:
  static constexpr size_t none = static_cast<size_t>(-1);
  static constexpr size_t searched_in_order = 8;  // as many need no table
  size_t position(Heap& heap, const Value& key) const;
  void make_table(Heap& heap, size_t size);
  void enter(Heap& heap, size_t entry);
  std::pmr::vector<uint32_t> slots;  // entry + 1 by hash; a power of two of them, at most half of them used
};

struct Range {
  int64_t start, stop, step;
  int64_t size() const;
  int64_t at(int64_t i) const { return start + i * step; }
};

struct Iterator {
  List* list;
  size_t next = 0;
};

struct Cycler {
  List* list;
  size_t position = 0;
};

struct Joiner {
  Value separator;
  bool used = false;
};

/// A function of a value, not called yet.
struct Method {
  Value self;
  std::string_view name;
};

/// Python's name of the type: "int", "str", "NoneType" …
std::string_view type_name(const Value& value);

/// A number as a float: the nearest one where it is a large integer.
double float_of(const Value& number);
bool is_nan(const Value& value);

bool truth(const Value& value);
/// `==`.
bool equal(Heap& heap, const Value& a, const Value& b, int depth = 0);
/// `is`.
bool identical(const Value& a, const Value& b);
/// Negative, 0 or positive. Throws Fault for what Python does not order; `sign` is the operator it tells.
int compare(Heap& heap, const Value& a, const Value& b, std::string_view sign = "<", int depth = 0);
/// Throws Fault for what is unhashable (lists, dicts).
uint64_t hash_of(Heap& heap, const Value& value, int depth = 0);

/// Throws Fault with why_undefined() when it is undefined.
void require_defined(const Value& value);

}  // namespace incipit::jinja
