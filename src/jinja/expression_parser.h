// Expressions of a template, from tokens to a tree.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/syntax.h"
#include "jinja/token_reader.h"

namespace incipit::jinja {

/// One function a level of precedence. Bounds the depth of the source and the height of the tree.
class ExpressionParser : public TokenReader {
 public:
  using TokenReader::TokenReader;

 protected:
  /// Which of `varargs` and `kwargs` were named since this was reset: a macro takes those that its body names.
  struct Extras {
    bool positional = false, keywords = false;
  };

  ExpressionPointer make(Expression::Kind kind, int32_t line, std::vector<ExpressionPointer> children = {}) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->line = line;
    for (ExpressionPointer& child : children) adopt(*node, std::move(child));
    return node;
  }
  template <typename... Children>
  ExpressionPointer make_of(Expression::Kind kind, int32_t line, Children... children) const {
    std::vector<ExpressionPointer> list;
    (list.push_back(std::move(children)), ...);
    return make(kind, line, std::move(list));
  }
  void raise_height(Expression& node, const ExpressionPointer& child) const {
    if (child == nullptr) return;
    node.height = std::max(node.height, child->height + 1);
    if (node.height > tallest) fail("an expression is nested too deeply");
  }
  void adopt(Expression& node, ExpressionPointer child) const {
    raise_height(node, child);
    node.children.push_back(std::move(child));
  }

  /// An expression, or several with commas between them. Ends before `end`.
  ExpressionPointer parse_tuple(bool with_conditional = true, std::string_view end = {}, bool in_brackets = false);
  ExpressionPointer parse_expression();
  ExpressionPointer parse_or();
  ExpressionPointer parse_and();
  ExpressionPointer parse_not();
  bool take_comparison(Operator& which);
  ExpressionPointer parse_compare();
  ExpressionPointer make_binary(Operator which, int32_t line, ExpressionPointer left, ExpressionPointer right) const;
  ExpressionPointer parse_sum();
  ExpressionPointer parse_concatenation();
  ExpressionPointer parse_product();
  ExpressionPointer parse_power();
  ExpressionPointer parse_unary(bool with_filters);
  ExpressionPointer parse_primary();
  ExpressionPointer parse_word();
  ExpressionPointer parse_list();
  ExpressionPointer parse_dict();
  ExpressionPointer parse_postfix(ExpressionPointer node);
  ExpressionPointer parse_filters(ExpressionPointer node);
  ExpressionPointer parse_attribute(ExpressionPointer object);
  ExpressionPointer parse_subscript(ExpressionPointer object);
  void parse_arguments(Expression& node);
  ExpressionPointer parse_call(ExpressionPointer callee);
  std::string parse_dotted_name();
  ExpressionPointer parse_one_filter(ExpressionPointer input);
  /// Whether a test's one argument stands here, without brackets.
  bool at_bare_argument() const;
  ExpressionPointer parse_test(ExpressionPointer input);

  Extras extras_;

 private:
  static constexpr int32_t tallest = 200;  // of an expression's tree, in which `a + b + c` is three high
};

}  // namespace incipit::jinja
