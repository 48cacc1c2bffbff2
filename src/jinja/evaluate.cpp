// The interpreter's expressions.
#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/print.h"
#include "jinja/python_text.h"

namespace incipit::jinja {

Value Interpreter::evaluate(const Expression& expression, Scope& scope) {
  const Level level(*this, Level::Of::expression);
  line_ = expression.line;
  const auto child = [&](size_t i) { return evaluate(*expression.children[i], scope); };
  switch (expression.kind) {
    case Expression::Kind::none: return Value::none();
    case Expression::Kind::boolean: return Value::boolean(expression.integer != 0);
    case Expression::Kind::integer: return Value::integer(expression.integer);
    case Expression::Kind::real: return Value::real(expression.real);
    case Expression::Kind::string: return Value::string(expression.text);
    case Expression::Kind::name: return evaluate_name(expression.text, scope);
    case Expression::Kind::list:
    case Expression::Kind::tuple: {
      List* const list = heap_.make<List>(heap_);
      list->items.reserve(expression.children.size());
      for (const auto& item : expression.children) list->add(heap_, evaluate(*item, scope));
      return expression.kind == Expression::Kind::list ? Value::list(list) : Value::tuple(list);
    }
    case Expression::Kind::dict: return evaluate_dict(expression, scope);
    case Expression::Kind::attribute: {
      const Value object = child(0);
      line_ = expression.line;
      return attribute(object, expression.text);
    }
    case Expression::Kind::item: {
      const Value object = child(0), key = child(1);
      line_ = expression.line;
      return item(object, key);
    }
    case Expression::Kind::slice: return evaluate_slice(expression, scope);
    case Expression::Kind::call: return evaluate_call(expression, scope);
    case Expression::Kind::filter: return evaluate_filter(expression, scope, nullptr);
    case Expression::Kind::test: {
      const Value input = child(0);
      const Arguments arguments = evaluate_arguments(expression.arguments, scope);
      line_ = expression.line;
      return Value::boolean(apply_test(*this, expression.text, input, arguments));
    }
    case Expression::Kind::negative: return negative(child(0));
    case Expression::Kind::positive: return positive(child(0));
    case Expression::Kind::logical_not: return Value::boolean(!truth(child(0)));
    case Expression::Kind::logical_and: {
      const Value left = child(0);
      return truth(left) ? child(1) : left;
    }
    case Expression::Kind::logical_or: {
      const Value left = child(0);
      return truth(left) ? left : child(1);
    }
    case Expression::Kind::compare: return evaluate_compare(expression, scope);
    case Expression::Kind::concatenate: return evaluate_concatenation(expression, scope);
    case Expression::Kind::binary: {
      const Value left = child(0), right = child(1);
      line_ = expression.line;
      return apply(heap_, expression.operators.front(), left, right);
    }
    case Expression::Kind::conditional:
      if (truth(child(0))) return child(1);
      return expression.children[2] != nullptr ? child(2) : Value();
  }
  return {};
}

Value Interpreter::evaluate_name(std::string_view name, const Scope& scope) const {
  for (const Scope* one = &scope; one != nullptr; one = one->parent) {
    for (const auto& [known, value] : one->variables) {
      if (known == name) return value;
    }
  }
  if (const Value* value = variables_->find(heap_, name)) return *value;
  return find_function(name).value_or(Value::undefined(name));
}

Value Interpreter::evaluate_dict(const Expression& expression, Scope& scope) {
  Dict* const dict = heap_.make<Dict>(heap_);
  for (size_t i = 0; i < expression.children.size(); i += 2) {
    const Value key = evaluate(*expression.children[i], scope);
    dict->set(heap_, key, evaluate(*expression.children[i + 1], scope));
  }
  return Value::dict(dict);
}

Value Interpreter::evaluate_compare(const Expression& expression, Scope& scope) {
  Value left = evaluate(*expression.children[0], scope);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    const Value right = evaluate(*expression.children[i + 1], scope);
    line_ = expression.line;
    if (!holds(heap_, expression.operators[i], left, right)) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concatenation(const Expression& expression, Scope& scope) {
  const std::string_view first = text_of(heap_, evaluate(*expression.children[0], scope));
  std::string rest;
  for (size_t i = 1; i < expression.children.size(); ++i) {
    append_text(heap_, rest, evaluate(*expression.children[i], scope));
  }
  return Value::string(rest.empty() ? first : heap_.join(first, rest));
}

Value Interpreter::evaluate_slice(const Expression& expression, Scope& scope) {
  const Value object = evaluate(*expression.children[0], scope);
  std::optional<Value> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expression.children[i + 1] != nullptr) bounds[i] = evaluate(*expression.children[i + 1], scope);
  }
  line_ = expression.line;
  return slice(heap_, object, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::evaluate_call(const Expression& expression, Scope& scope) {
  const Value callee = evaluate(*expression.children[0], scope);
  const Arguments arguments = evaluate_arguments(expression.arguments, scope);
  line_ = expression.line;
  return call(callee, arguments);
}

Value Interpreter::evaluate_filter(const Expression& expression, Scope& scope, const Value* input) {
  const Level level(*this, Level::Of::expression);
  const Expression* const source = expression.children[0].get();
  Value value;
  if (source == nullptr) {
    value = *input;
  } else if (source->kind == Expression::Kind::filter) {
    value = evaluate_filter(*source, scope, input);
  } else {
    value = evaluate(*source, scope);
  }
  const Arguments arguments = evaluate_arguments(expression.arguments, scope);
  line_ = expression.line;
  return apply_filter(*this, expression.text, value, arguments);
}

Arguments Interpreter::evaluate_arguments(const ArgumentList& list, Scope& scope) {
  Arguments arguments;
  arguments.positional.reserve(list.positional.size());
  for (const auto& argument : list.positional) arguments.positional.push_back(evaluate(*argument, scope));
  for (const auto& [name, argument] : list.keywords) arguments.keywords.emplace_back(name, evaluate(*argument, scope));
  if (list.more_positional != nullptr) {
    const Value more = evaluate(*list.more_positional, scope);
    const List& items = *collect(heap_, more);
    arguments.positional.insert(arguments.positional.end(), items.items.begin(), items.items.end());
  }
  if (list.more_keywords != nullptr) {
    const Value more = evaluate(*list.more_keywords, scope);
    if (!more.is(Kind::dict)) throw Fault("what follows ** in a call must be a mapping");
    for (const Dict::Entry& entry : more.dict().entries) {
      arguments.keywords.emplace_back(text_argument(entry.key, "keywords must be strings: a call"), entry.value);
    }
  }
  return arguments;
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  switch (callee.kind()) {
    case Kind::undefined: throw Fault(callee.why_undefined());
    case Kind::function: return call_function(*this, callee.function(), arguments);
    case Kind::method: return call_method(callee.method(), arguments);
    case Kind::macro: return call_macro(callee.macro(), arguments);
    case Kind::loop: return call_loop(callee.loop(), arguments);
    case Kind::joiner: {
      expect_no_arguments(arguments, "joiner");
      return std::exchange(callee.joiner().used, true) ? callee.joiner().separator : Value::string({});
    }
    default: throw Fault(fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

Value Interpreter::call_method(const Method& method, const Arguments& arguments) {
  const Value& self = method.self;
  if (self.is_string()) {
    const Value result = call_string_method(*this, method.name, self.text(), arguments);
    if (!self.is_markup()) return result;
    if (result.has_list()) {
      for (Value& part : result.list().items) part = part.with_markup(true);
    }
    return result.is_string() ? result.with_markup(true) : result;
  }
  if (self.is(Kind::loop)) return call_loop_method(self.loop(), method.name, arguments);
  if (self.is(Kind::cycler)) {
    expect_no_arguments(arguments, method.name);
    Cycler& cycler = self.cycler();
    const Value current = cycler.list->items[cycler.position];
    cycler.position = method.name == "reset" ? 0 : (cycler.position + 1) % cycler.list->items.size();
    return method.name == "reset" ? Value::none() : current;
  }
  return call_container_method(*this, method.name, self, arguments);
}

Value Interpreter::attribute(const Value& object, std::string_view name) {
  require_defined(object);
  if (has_method(object.kind(), name)) return Value::method(heap_.make<Method>(Method{object, name}));
  switch (object.kind()) {
    case Kind::dict:
    case Kind::name_space: {
      const Value* value = object.dict().find(heap_, name);
      return value != nullptr ? *value : Value::missing(object, name);
    }
    case Kind::loop: return loop_attribute(object, name);
    case Kind::macro:
      if (name == "name") return Value::string(object.macro().definition->text);
      break;
    case Kind::tuple:
      if (object.is_group() && name == "grouper") return object.list().items[0];
      if (object.is_group() && name == "list") return object.list().items[1];
      break;
    case Kind::cycler:
      if (name == "current") return object.cycler().list->items[object.cycler().position];
      break;
    default: break;
  }
  return Value::missing(object, name);
}

Value Interpreter::item(const Value& object, const Value& key) {
  require_defined(object);
  if (object.is(Kind::dict)) {
    const bool hashable = !key.is(Kind::list) && !key.is(Kind::dict);
    if (const Value* value = hashable ? object.dict().find(heap_, key) : nullptr) return *value;
  } else if (key.is_integral()) {
    const int64_t index = key.integer();
    if (object.is(Kind::list) || object.is(Kind::tuple)) {
      if (const Value* value = list_item(object.list(), index)) return *value;
    } else if (object.is_string()) {
      const Value one =
          slice(heap_, object, key, index == -1 ? Value::none() : Value::integer(index + 1), std::nullopt);
      if (!one.text().empty()) return one;
    } else if (object.is(Kind::range)) {
      const int64_t size = object.range().size(), at = index < 0 ? index + size : index;
      if (at >= 0 && at < size) return Value::integer(object.range().at(at));
    }
  }
  if (key.is_string())
    return object.is(Kind::dict) && !has_method(Kind::dict, key.text()) ? Value::missing(object, key.text())
                                                                        : attribute(object, key.text());
  return Value::missing(object, text_of(heap_, key), true);
}

const Value* list_item(const List& list, int64_t index) {
  const auto size = static_cast<int64_t>(list.items.size());
  if (index < 0) index += size;
  return index >= 0 && index < size ? &list.items[static_cast<size_t>(index)] : nullptr;
}

}  // namespace incipit::jinja
