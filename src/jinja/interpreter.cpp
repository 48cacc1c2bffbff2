#include "jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "jinja/collector.h"
#include "jinja/print.h"

namespace incipit::jinja {
namespace {

void set_variable(Scope& scope, std::string_view name, const Value& value) {
  for (auto& [known, old] : scope.variables) {
    if (known == name) {
      old = value;
      return;
    }
  }
  scope.variables.emplace_back(name, value);
}

constexpr std::string_view loop_name = "loop";

}  // namespace

Interpreter::Level::Level(Interpreter& interpreter, Of what) : interpreter_(interpreter), what_(what) {
  interpreter_.heap_.step();
  if (interpreter_.depth_ >= interpreter_.options_.limits.depth) {
    throw Fault("it goes too deep, as a macro does that calls itself without end");
  }
  ++interpreter_.depth_;
  interpreter_.expressions_ += what == Of::expression ? 1 : 0;
}

Interpreter::Interpreter(const TemplateOptions& options, Heap& heap, Dict* variables)
    : options_(options), heap_(heap), variables_(variables) {}

LocalTime Interpreter::now() const {
  if (options_.now) return *options_.now;
  std::timespec time{};
  std::timespec_get(&time, TIME_UTC);
  LocalTime local;
  ::localtime_r(&time.tv_sec, &local.calendar);
  local.microseconds = static_cast<int32_t>(time.tv_nsec / 1000);
  return local;
}

void Interpreter::collect_garbage(Scope& scope) {
  Collector collector(heap_);
  collector.keep(Value::dict(variables_));
  collector.keep(&scope);
  for (Loop* loop : loops_) collector.keep(Value::loop(loop));
  collector.finish();
}

void Interpreter::run(const Body& body, std::string& output) {
  output_ = &output;
  run_body(body, *heap_.make<Scope>(heap_, nullptr));
}

void Interpreter::put_out(std::string_view text) {
  heap_.use_memory(text.size());
  heap_.step_bytes(text.size());
  heap_.check_string(output_->size() + text.size());
  *output_ += text;
}

Interpreter::Flow Interpreter::capture(const Body& body, Scope& scope, std::string_view& text) {
  std::string buffer;
  std::string* const outer = std::exchange(output_, &buffer);
  const Flow flow = run_body(body, scope);
  output_ = outer;  // a Fault ends the whole rendering: nobody puts out anything after it
  text = heap_.keep(buffer);
  heap_.release_memory(buffer.size());
  return flow;
}

Interpreter::Flow Interpreter::run_body(const Body& body, Scope& scope) {
  for (const auto& statement : body) {
    if (const Flow flow = run_statement(*statement, scope); flow != Flow::onward) return flow;
  }
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_statement(const Statement& statement, Scope& scope) {
  const Level level(*this, Level::Of::statement);
  if (expressions_ == 0 && heap_.wants_collection()) collect_garbage(scope);
  line_ = statement.line;
  switch (statement.kind) {
    case Statement::Kind::data: put_out(statement.text); break;
    case Statement::Kind::print: {
      const Value value = evaluate(*statement.expressions[0], scope);
      put_out(text_of(heap_, value));
      break;
    }
    case Statement::Kind::condition: return run_condition(statement, scope);
    case Statement::Kind::loop: run_loop(statement, scope, evaluate(*statement.expressions[0], scope), 0); break;
    case Statement::Kind::assign: assign(*statement.target, evaluate(*statement.expressions[0], scope), scope); break;
    case Statement::Kind::assign_block: return run_assign_block(statement, scope);
    case Statement::Kind::macro:
      for (Scope* one = &scope; one != nullptr; one = one->parent) one->kept = true;
      set_variable(scope, statement.text, Value::macro(heap_.make<Macro>(Macro{&statement, &scope})));
      break;
    case Statement::Kind::call_block: {
      for (Scope* one = &scope; one != nullptr; one = one->parent) one->kept = true;
      const Level of_call(*this, Level::Of::expression);
      const Expression& call_expression = *statement.expressions[0];
      const Value callee = evaluate(*call_expression.children[0], scope);
      Arguments arguments = evaluate_arguments(call_expression.arguments, scope);
      arguments.keywords.emplace_back(statement.text, Value::macro(heap_.make<Macro>(Macro{&statement, &scope})));
      put_out(text_of(heap_, call(callee, arguments)));
      break;
    }
    case Statement::Kind::filter_block: return run_filter_block(statement, scope);
    case Statement::Kind::with: return run_with(statement, scope);
    case Statement::Kind::scope: return run_body(statement.bodies[0], *heap_.make<Scope>(heap_, &scope));
    case Statement::Kind::leave_loop: return Flow::leave_loop;
    case Statement::Kind::next_item: return Flow::next_item;
  }
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_condition(const Statement& statement, Scope& scope) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    if (truth(evaluate(*statement.expressions[i], scope))) return run_body(statement.bodies[i], scope);
  }
  if (statement.bodies.size() > statement.expressions.size()) return run_body(statement.bodies.back(), scope);
  return Flow::onward;
}

/// A block that a loop is left from puts out nothing, and assigns nothing.
Interpreter::Flow Interpreter::run_assign_block(const Statement& statement, Scope& scope) {
  std::string_view text;
  const Flow flow = capture(statement.bodies[0], *heap_.make<Scope>(heap_, &scope), text);
  if (flow != Flow::onward) return flow;
  Value value = Value::string(text);
  if (statement.expressions[0] != nullptr) value = evaluate_filter(*statement.expressions[0], scope, &value);
  assign(*statement.target, value, scope);
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_filter_block(const Statement& statement, Scope& scope) {
  std::string_view text;
  const Flow flow = capture(statement.bodies[0], *heap_.make<Scope>(heap_, &scope), text);
  if (flow != Flow::onward) return flow;
  const Value value = Value::string(text);
  put_out(text_of(heap_, evaluate_filter(*statement.expressions[0], scope, &value)));
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_with(const Statement& statement, Scope& scope) {
  Scope& inner = *heap_.make<Scope>(heap_, &scope);
  // All values are of the scope outside, whatever the names before them.
  std::vector<Value> values;
  for (size_t i = 1; i < statement.expressions.size(); i += 2) {
    values.push_back(evaluate(*statement.expressions[i], scope));
  }
  for (size_t i = 0; i < values.size(); ++i) assign(*statement.expressions[2 * i], values[i], inner);
  return run_body(statement.bodies[0], inner);
}

/// The next item that the loop's condition lets through.
bool Interpreter::fetch(Loop& loop, Value& item) {
  const Expression* const condition = loop.statement->expressions[1].get();
  while (loop.source.next(heap_, item)) {
    if (condition == nullptr) return true;
    Scope scope(heap_, loop.scope);
    assign(*loop.statement->target, item, scope);
    if (truth(evaluate(*condition, scope))) return true;
  }
  return false;
}

bool Interpreter::next_item(Loop& loop, Value& item) {
  if (loop.ahead_next == loop.ahead->items.size()) return fetch(loop, item);
  item = loop.ahead->items[loop.ahead_next++];
  return true;
}

bool Interpreter::peek(Loop& loop, Value& item) {
  if (loop.ahead_next == loop.ahead->items.size()) {
    if (!fetch(loop, item)) return false;
    loop.ahead->add(heap_, item);
  }
  item = loop.ahead->items[loop.ahead_next];
  return true;
}

int64_t Interpreter::loop_length(Loop& loop) {
  for (Value item; fetch(loop, item);) loop.ahead->add(heap_, item);
  return loop.index + 1 + static_cast<int64_t>(loop.ahead->items.size() - loop.ahead_next);
}

void Interpreter::run_loop(const Statement& statement, Scope& scope, const Value& iterable, int32_t depth) {
  Loop& loop = *heap_.make<Loop>(&statement, &scope, Cursor(iterable), heap_.make<List>(heap_));
  loop.depth = depth;
  loop.index = -1;
  loops_.push_back(&loop);
  Scope* inner = heap_.make<Scope>(heap_, &scope);
  for (Value item; next_item(loop, item);) {
    if (inner->kept) inner = heap_.make<Scope>(heap_, &scope);
    inner->variables.clear();
    if (++loop.index > 0) loop.previous = loop.current;
    loop.current = item;
    set_variable(*inner, loop_name, Value::loop(&loop));
    assign(*statement.target, item, *inner);
    if (run_body(statement.bodies[0], *inner) == Flow::leave_loop) break;
  }
  loops_.pop_back();
  if (loop.index < 0 && statement.bodies.size() > 1) run_body(statement.bodies[1], *heap_.make<Scope>(heap_, &scope));
}

void Interpreter::assign(const Expression& target, const Value& value, Scope& scope) {
  if (target.kind == Expression::Kind::name) return set_variable(scope, target.text, value);
  if (target.kind == Expression::Kind::attribute) {
    const Value owner = evaluate(*target.children[0], scope);
    if (!owner.is(Kind::name_space)) throw Fault("cannot assign attribute on non-namespace object");
    return owner.dict().set(heap_, Value::string(target.text), value);
  }
  require_defined(value);
  const List& items = *collect(heap_, value);
  if (items.items.size() != target.children.size()) {
    throw Fault(fmt::format("{} values for {} names", items.items.size(), target.children.size()));
  }
  for (size_t i = 0; i < target.children.size(); ++i) assign(*target.children[i], items.items[i], scope);
}

Value Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  const Level level(*this, Level::Of::expression);
  const Statement& definition = *macro.definition;
  const Parameters& parameters = definition.parameters;
  Scope& scope = *heap_.make<Scope>(heap_, macro.scope);
  const size_t count = parameters.names.size();
  std::vector<const Value*> given(count, nullptr);
  List* const more = heap_.make<List>(heap_);
  Dict* const more_keywords = heap_.make<Dict>(heap_);
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      given[i] = &arguments.positional[i];
    } else if (parameters.more_positional) {
      more->add(heap_, arguments.positional[i]);
    } else {
      throw Fault(fmt::format("macro '{}' takes not more than {} argument(s)", definition.text, count));
    }
  }
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(parameters.names.begin(), parameters.names.end(), name);
    if (found != parameters.names.end()) {
      const auto at = static_cast<size_t>(found - parameters.names.begin());
      if (given[at] != nullptr) throw Fault(fmt::format("macro '{}' is given '{}' twice", definition.text, name));
      given[at] = &value;
    } else if (name == "caller") {
      set_variable(scope, "caller", value);
    } else if (parameters.more_keywords) {
      more_keywords->set(heap_, Value::string(name), value);
    } else {
      throw Fault(fmt::format("macro '{}' takes no keyword argument '{}'", definition.text, name));
    }
  }
  if (parameters.more_positional) set_variable(scope, "varargs", Value::tuple(more));
  if (parameters.more_keywords) set_variable(scope, "kwargs", Value::dict(more_keywords));
  const size_t first_default = count - parameters.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    Value value = Value::undefined(parameters.names[i]);
    if (given[i] != nullptr) {
      value = *given[i];
    } else if (i >= first_default) {
      value = evaluate(*parameters.defaults[i - first_default], scope);
    }
    set_variable(scope, parameters.names[i], value);
  }
  std::string_view text;
  capture(definition.bodies[0], scope, text);
  return Value::string(text);
}

Value Interpreter::call_loop(Loop& loop, const Arguments& arguments) {
  if (!loop.statement->recursive) throw Fault("the loop is called, but is not marked 'recursive'");
  const Level level(*this, Level::Of::expression);
  const auto [iterable] = match_arguments(arguments, "loop", std::array<std::string_view, 1>{"iterable"}, 1);
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  run_loop(*loop.statement, *loop.scope, *iterable, loop.depth + 1);
  output_ = outer;
  heap_.release_memory(text.size());
  return Value::string(heap_.keep(text));
}

Value Interpreter::loop_attribute(const Value& value, std::string_view name) {
  Loop& loop = value.loop();
  const auto number = [](int64_t n) { return Value::integer(n); };
  Value next;
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "first") return Value::boolean(loop.index == 0);
  if (name == "last") return Value::boolean(!peek(loop, next));
  if (name == "length") return number(loop_length(loop));
  if (name == "revindex") return number(loop_length(loop) - loop.index);
  if (name == "revindex0") return number(loop_length(loop) - loop.index - 1);
  if (name == "previtem") return loop.index > 0 ? loop.previous : Value::undefined("there is no previous item");
  if (name == "nextitem") return peek(loop, next) ? next : Value::undefined("there is no next item");
  if (name == "depth") return number(loop.depth + 1);
  if (name == "depth0") return number(loop.depth);
  if (name == "cycle" || name == "changed") return Value::method(heap_.make<Method>(Method{value, name}));
  return Value::missing(value, name);
}

Value Interpreter::call_loop_method(Loop& loop, std::string_view name, const Arguments& arguments) {
  const auto& items = arguments.positional;
  if (name == "cycle") {
    if (items.empty()) throw Fault("no items for cycling given");
    return items[static_cast<size_t>(loop.index) % items.size()];
  }
  List* const now = heap_.make<List>(heap_);
  for (const Value& item : items) now->add(heap_, item);
  const bool changed =
      loop.last_changed == nullptr || !equal(heap_, Value::tuple(loop.last_changed), Value::tuple(now));
  loop.last_changed = now;
  return Value::boolean(changed);
}

}  // namespace incipit::jinja
