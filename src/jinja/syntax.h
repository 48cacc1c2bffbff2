// A template as a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace incipit::jinja {

struct Expression;
struct Statement;
using ExpressionPointer = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

enum class Operator : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

/// What stands in the brackets of a call.
struct ArgumentList {
  std::vector<ExpressionPointer> positional;
  std::vector<std::pair<std::string, ExpressionPointer>> keywords;
  ExpressionPointer more_positional, more_keywords;  // *these and **these; or null
};

struct Expression {
  enum class Kind : uint8_t {
    none,
    boolean,      // integer
    integer,      // integer
    real,         // real
    string,       // text
    name,         // text
    list,         // children
    tuple,        // children
    dict,         // children: key, value, key, value …
    attribute,    // children: object; text
    item,         // children: object, key
    slice,        // children: object, start, stop, step; each of the last three may be null
    call,         // children: what is called; arguments
    filter,       // children: its input, null in a block; text, arguments
    test,         // children: its input; text, arguments
    negative,     // children: one
    positive,     // children: one
    logical_not,  // children: one
    logical_and,  // children: two
    logical_or,   // children: two
    compare,      // children: operators.size() + 1
    concatenate,  // children
    binary,       // children: two; operators: one
    conditional,  // children: test, value, value otherwise (may be null)
  };
  Kind kind;
  int32_t line;
  int32_t height = 1;  // of the tree
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<ExpressionPointer> children;
  std::vector<Operator> operators;
  ArgumentList arguments;
};

/// Names and defaults (of the last ones) that a macro or a call block takes.
struct Parameters {
  std::vector<std::string> names;
  std::vector<ExpressionPointer> defaults;
  bool more_positional = false, more_keywords = false;  // whether the body names `varargs`, `kwargs`
};

struct Statement {
  enum class Kind : uint8_t {
    data,          // text
    print,         // expressions: one
    condition,     // expressions: tests; bodies: one a test, and one for else
    loop,          // target; expressions: iterable, condition (may be null); bodies: one, and one for else
    assign,        // target; expressions: value
    assign_block,  // target; expressions: filters (may be null); bodies: one
    macro,         // text, parameters; bodies: one
    call_block,    // parameters; expressions: the call; bodies: one
    filter_block,  // expressions: filters; bodies: one
    with,          // targets in `expressions` at even places, values at odd ones; bodies: one
    scope,         // bodies: one
    leave_loop,
    next_item,
  };
  Kind kind;
  int32_t line;
  bool recursive = false;  // of a loop
  std::string text;
  ExpressionPointer target;  // a name, a tuple of targets, or an attribute of a name (of a namespace)
  std::vector<ExpressionPointer> expressions;
  std::vector<Body> bodies;
  Parameters parameters;
};

/// Throws SyntaxFault.
Body parse(std::string_view source);

}  // namespace incipit::jinja
