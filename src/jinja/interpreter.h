// Runs a parsed template.
#pragma once

#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/arguments.h"
#include "jinja/functions.h"
#include "jinja/jinja_template.h"
#include "jinja/operators.h"
#include "jinja/syntax.h"
#include "jinja/value.h"

namespace incipit::jinja {

/// The variables that a block may set; those of the blocks around it it can read.
struct Scope {
  Scope(Heap& heap, Scope* outer) : parent(outer), variables(heap.resource()) {}
  Scope* parent;
  std::pmr::vector<std::pair<std::string_view, Value>> variables;
  bool kept = false;  // by a macro that was defined in it
};

struct Macro {
  const Statement* definition;
  Scope* scope;  // where it was defined
};

/// `loop`: a for statement under way.
struct Loop {
  const Statement* statement;
  Scope* scope;  // around the statement
  Cursor source;
  List* ahead;  // items that were looked at before their turn
  size_t ahead_next = 0;
  int64_t index = 0;  // from 0
  int32_t depth = 0;  // of recursion, from 0
  Value previous{}, current{};
  List* last_changed = nullptr;
};

class Interpreter {
 public:
  Interpreter(const TemplateOptions& options, Heap& heap, Dict* variables);

  /// Appends what the body puts out. Throws Fault.
  void run(const Body& body, std::string& output);

  Heap& heap() { return heap_; }
  /// The line that was begun last.
  int32_t line() const { return line_; }
  LocalTime now() const;

  Value call(const Value& callee, const Arguments& arguments);
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value loop_attribute(const Value& loop, std::string_view name);

 private:
  enum class Flow : uint8_t { onward, leave_loop, next_item };
  /// Bounds the recursion of statements, expressions and macros.
  class Level {
   public:
    enum class Of : uint8_t { statement, expression };
    Level(Interpreter& interpreter, Of what);
    ~Level() {
      --interpreter_.depth_;
      interpreter_.expressions_ -= what_ == Of::expression ? 1 : 0;
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Interpreter& interpreter_;
    Of what_;
  };

  /// Frees what no variable and no loop leads to. Only between statements outside of all expressions: those under way
  /// hold values that nothing else leads to.
  void collect_garbage(Scope& scope);

  // Statements.
  Flow run_body(const Body& body, Scope& scope);
  Flow run_statement(const Statement& statement, Scope& scope);
  Flow run_condition(const Statement& statement, Scope& scope);
  void run_loop(const Statement& statement, Scope& scope, const Value& iterable, int32_t depth);
  Flow run_with(const Statement& statement, Scope& scope);
  Flow run_assign_block(const Statement& statement, Scope& scope);
  Flow run_filter_block(const Statement& statement, Scope& scope);
  bool next_item(Loop& loop, Value& item);
  bool fetch(Loop& loop, Value& item);
  /// Looks at the item after the current one.
  bool peek(Loop& loop, Value& item);
  int64_t loop_length(Loop& loop);
  /// Runs a body of which `text` becomes what it puts out.
  Flow capture(const Body& body, Scope& scope, std::string_view& text);
  void put_out(std::string_view text);
  void assign(const Expression& target, const Value& value, Scope& scope);

  // Expressions.
  Value evaluate(const Expression& expression, Scope& scope);
  Value evaluate_name(std::string_view name, const Scope& scope) const;
  Value evaluate_dict(const Expression& expression, Scope& scope);
  Value evaluate_compare(const Expression& expression, Scope& scope);
  Value evaluate_concatenation(const Expression& expression, Scope& scope);
  Value evaluate_slice(const Expression& expression, Scope& scope);
  Value evaluate_call(const Expression& expression, Scope& scope);
  /// `input` stands for that of the innermost filter of a block, which the source does not give.
  Value evaluate_filter(const Expression& expression, Scope& scope, const Value* input);
  Arguments evaluate_arguments(const ArgumentList& list, Scope& scope);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  Value call_loop(Loop& loop, const Arguments& arguments);
  Value call_method(const Method& method, const Arguments& arguments);
  Value call_loop_method(Loop& loop, std::string_view name, const Arguments& arguments);

  const TemplateOptions& options_;
  Heap& heap_;
  Dict* variables_;
  std::string* output_ = nullptr;
  int32_t line_ = 1;
  int32_t depth_ = 0;
  int32_t expressions_ = 0;   // under way
  std::vector<Loop*> loops_;  // under way
};

/// The item of a list by a Python index; nothing beyond its ends.
const Value* list_item(const List& list, int64_t index);

// The parts of the language that are tables of names.
Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& input, const Arguments& arguments);
bool apply_test(Interpreter& interpreter, std::string_view name, const Value& input, const Arguments& arguments);
bool is_filter(std::string_view name);
bool is_test(std::string_view name);
/// Whether values of this kind have a method of this name, which an attribute or key may be hidden by.
bool has_method(Kind kind, std::string_view name);
Value call_string_method(Interpreter& interpreter, std::string_view name, std::string_view self,
                         const Arguments& arguments);
Value call_container_method(Interpreter& interpreter, std::string_view name, const Value& self,
                            const Arguments& arguments);

/// str.replace; `most` -1: all of them.
Value replaced(Heap& heap, std::string_view text, std::string_view old, std::string_view fresh, int64_t most);
/// dict.update with a mapping or an iterable of pairs.
void update_dict(Heap& heap, Dict& dict, const Value& from);
/// A dict's keys, values or (key, value) tuples.
Value view_of(Heap& heap, const Dict& dict, ViewOf which);

}  // namespace incipit::jinja
