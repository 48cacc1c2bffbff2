#include "jinja/expression_parser.h"

#include <fmt/format.h>

namespace incipit::jinja {

ExpressionPointer ExpressionParser::parse_tuple(bool with_conditional, std::string_view end, bool in_brackets) {
  const int32_t line = current().line;
  std::vector<ExpressionPointer> items;
  bool tuple = false;
  const auto ended = [&] {
    return current().kind == Token::Kind::print_end || current().kind == Token::Kind::tag_end || at_sign(")") ||
           (!end.empty() && at_name(end));
  };
  while (!ended()) {
    items.push_back(with_conditional ? parse_expression() : parse_or());
    if (!skip_sign(",")) break;
    tuple = true;
  }
  if (!tuple && !items.empty()) return std::move(items.front());
  if (!tuple && !in_brackets) fail(fmt::format("expected an expression, got {}", shown(current())));
  return make(Expression::Kind::tuple, line, std::move(items));
}

ExpressionPointer ExpressionParser::parse_expression() {
  const Level level(*this);
  const int32_t line = current().line;
  ExpressionPointer value = parse_or();
  while (skip_name("if")) {
    ExpressionPointer test = parse_or();
    ExpressionPointer otherwise = skip_name("else") ? parse_expression() : nullptr;
    value = make_of(Expression::Kind::conditional, line, std::move(test), std::move(value), std::move(otherwise));
  }
  return value;
}

ExpressionPointer ExpressionParser::parse_or() {
  const int32_t line = current().line;
  ExpressionPointer left = parse_and();
  while (skip_name("or")) left = make_of(Expression::Kind::logical_or, line, std::move(left), parse_and());
  return left;
}

ExpressionPointer ExpressionParser::parse_and() {
  const int32_t line = current().line;
  ExpressionPointer left = parse_not();
  while (skip_name("and")) left = make_of(Expression::Kind::logical_and, line, std::move(left), parse_not());
  return left;
}

ExpressionPointer ExpressionParser::parse_not() {
  const Level level(*this);
  const int32_t line = current().line;
  if (skip_name("not")) return make_of(Expression::Kind::logical_not, line, parse_not());
  return parse_compare();
}

bool ExpressionParser::take_comparison(Operator& which) {
  constexpr std::pair<std::string_view, Operator> comparisons[] = {
      {"==", Operator::equal},      {"!=", Operator::not_equal}, {"<", Operator::less},
      {"<=", Operator::less_equal}, {">", Operator::greater},    {">=", Operator::greater_equal}};
  for (const auto& [sign, meaning] : comparisons) {
    if (skip_sign(sign)) return which = meaning, true;
  }
  if (skip_name("in")) return which = Operator::in, true;
  if (!at_name("not") || !is_name(following(), "in")) return false;
  take();
  take();
  return which = Operator::not_in, true;
}

ExpressionPointer ExpressionParser::parse_compare() {
  const int32_t line = current().line;
  ExpressionPointer left = parse_sum();
  Operator which{};
  if (!take_comparison(which)) return left;
  ExpressionPointer node = make_of(Expression::Kind::compare, line, std::move(left));
  do {
    node->operators.push_back(which);
    adopt(*node, parse_sum());
  } while (take_comparison(which));
  return node;
}

ExpressionPointer ExpressionParser::make_binary(Operator which, int32_t line, ExpressionPointer left,
                                                ExpressionPointer right) const {
  ExpressionPointer node = make_of(Expression::Kind::binary, line, std::move(left), std::move(right));
  node->operators.push_back(which);
  return node;
}

ExpressionPointer ExpressionParser::parse_sum() {
  ExpressionPointer left = parse_concatenation();
  while (at_sign("+") || at_sign("-")) {
    const int32_t line = current().line;
    const Operator which = take().text == "+" ? Operator::add : Operator::subtract;
    left = make_binary(which, line, std::move(left), parse_concatenation());
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_concatenation() {
  const int32_t line = current().line;
  ExpressionPointer first = parse_product();
  if (!at_sign("~")) return first;
  ExpressionPointer node = make_of(Expression::Kind::concatenate, line, std::move(first));
  while (skip_sign("~")) adopt(*node, parse_product());
  return node;
}

ExpressionPointer ExpressionParser::parse_product() {
  ExpressionPointer left = parse_power();
  while (at_sign("*") || at_sign("/") || at_sign("//") || at_sign("%")) {
    const int32_t line = current().line;
    const std::string& sign = take().text;
    const Operator which = sign == "*"    ? Operator::multiply
                           : sign == "/"  ? Operator::divide
                           : sign == "//" ? Operator::floor_divide
                                          : Operator::modulo;
    left = make_binary(which, line, std::move(left), parse_power());
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_power() {
  ExpressionPointer left = parse_unary(true);
  while (at_sign("**")) {
    const int32_t line = take().line;
    left = make_binary(Operator::power, line, std::move(left), parse_unary(true));
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_unary(bool with_filters) {
  const Level level(*this);
  const int32_t line = current().line;
  ExpressionPointer node;
  if (skip_sign("-")) {
    node = make_of(Expression::Kind::negative, line, parse_unary(false));
  } else if (skip_sign("+")) {
    node = make_of(Expression::Kind::positive, line, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters(std::move(node)) : std::move(node);
}

ExpressionPointer ExpressionParser::parse_primary() {
  const Level level(*this);
  const Token& token = current();
  ExpressionPointer node;
  switch (token.kind) {
    case Token::Kind::name: return parse_word();
    case Token::Kind::string:
      node = make(Expression::Kind::string, token.line);
      while (current().kind == Token::Kind::string) node->text += take().text;
      return node;
    case Token::Kind::integer:
      node = make(Expression::Kind::integer, token.line);
      node->integer = take().integer;
      return node;
    case Token::Kind::real:
      node = make(Expression::Kind::real, token.line);
      node->real = take().real;
      return node;
    default: break;
  }
  if (skip_sign("(")) {
    node = parse_tuple(true, {}, true);
    expect_sign(")");
    return node;
  }
  if (at_sign("[")) return parse_list();
  if (at_sign("{")) return parse_dict();
  fail(fmt::format("unexpected {}", shown(token)));
}

ExpressionPointer ExpressionParser::parse_word() {
  const Token& token = take();
  const std::string& word = token.text;
  if (word == "none" || word == "None") return make(Expression::Kind::none, token.line);
  if (word == "true" || word == "True" || word == "false" || word == "False") {
    ExpressionPointer node = make(Expression::Kind::boolean, token.line);
    node->integer = word.front() == 't' || word.front() == 'T' ? 1 : 0;
    return node;
  }
  ExpressionPointer node = make(Expression::Kind::name, token.line);
  node->text = word;
  extras_.positional |= word == "varargs";
  extras_.keywords |= word == "kwargs";
  return node;
}

ExpressionPointer ExpressionParser::parse_list() {
  ExpressionPointer node = make(Expression::Kind::list, take().line);
  while (!at_sign("]")) {
    adopt(*node, parse_expression());
    if (!at_sign("]")) expect_sign(",");
  }
  take();
  return node;
}

ExpressionPointer ExpressionParser::parse_dict() {
  ExpressionPointer node = make(Expression::Kind::dict, take().line);
  while (!at_sign("}")) {
    adopt(*node, parse_expression());
    expect_sign(":");
    adopt(*node, parse_expression());
    if (!at_sign("}")) expect_sign(",");
  }
  take();
  return node;
}

ExpressionPointer ExpressionParser::parse_postfix(ExpressionPointer node) {
  while (true) {
    if (at_sign(".")) {
      node = parse_attribute(std::move(node));
    } else if (at_sign("[")) {
      node = parse_subscript(std::move(node));
    } else if (at_sign("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPointer ExpressionParser::parse_filters(ExpressionPointer node) {
  while (true) {
    if (skip_sign("|")) {
      node = parse_one_filter(std::move(node));
    } else if (node != nullptr && at_name("is")) {
      node = parse_test(std::move(node));
    } else if (node != nullptr && at_sign("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPointer ExpressionParser::parse_attribute(ExpressionPointer object) {
  const int32_t line = take().line;
  if (current().kind == Token::Kind::integer) {
    ExpressionPointer key = make(Expression::Kind::integer, line);
    key->integer = take().integer;
    return make_of(Expression::Kind::item, line, std::move(object), std::move(key));
  }
  const std::string name = expect_name();
  ExpressionPointer node = make_of(Expression::Kind::attribute, line, std::move(object));
  node->text = name;
  return node;
}

ExpressionPointer ExpressionParser::parse_subscript(ExpressionPointer object) {
  const int32_t line = take().line;
  ExpressionPointer parts[3];
  int colons = 0;
  if (!at_sign(":")) parts[0] = parse_expression();
  while (colons < 2 && skip_sign(":")) {
    ++colons;
    if (!at_sign("]") && !at_sign(":")) parts[colons] = parse_expression();
  }
  if (at_sign(",")) fail("several subscripts are not supported");
  expect_sign("]");
  if (colons == 0) return make_of(Expression::Kind::item, line, std::move(object), std::move(parts[0]));
  return make_of(Expression::Kind::slice, line, std::move(object), std::move(parts[0]), std::move(parts[1]),
                 std::move(parts[2]));
}

void ExpressionParser::parse_arguments(Expression& node) {
  ArgumentList& list = node.arguments;
  const int32_t line = current().line;
  const auto refuse_unless = [&](bool allowed) {
    if (!allowed) throw SyntaxFault(line, "the arguments of a call are in no valid order");
  };
  expect_sign("(");
  while (!at_sign(")")) {
    if (skip_sign("*")) {
      refuse_unless(list.more_positional == nullptr && list.more_keywords == nullptr);
      list.more_positional = parse_expression();
      raise_height(node, list.more_positional);
    } else if (skip_sign("**")) {
      refuse_unless(list.more_keywords == nullptr);
      list.more_keywords = parse_expression();
      raise_height(node, list.more_keywords);
    } else if (current().kind == Token::Kind::name && is_sign(following(), "=")) {
      refuse_unless(list.more_keywords == nullptr);
      std::string name = take().text;
      take();
      list.keywords.emplace_back(std::move(name), parse_expression());
      raise_height(node, list.keywords.back().second);
    } else {
      refuse_unless(list.more_positional == nullptr && list.more_keywords == nullptr && list.keywords.empty());
      list.positional.push_back(parse_expression());
      raise_height(node, list.positional.back());
    }
    if (!at_sign(")")) expect_sign(",");
  }
  take();
}

ExpressionPointer ExpressionParser::parse_call(ExpressionPointer callee) {
  ExpressionPointer node = make_of(Expression::Kind::call, current().line, std::move(callee));
  parse_arguments(*node);
  return node;
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = expect_name();
  while (skip_sign(".")) name += "." + expect_name();
  return name;
}

ExpressionPointer ExpressionParser::parse_one_filter(ExpressionPointer input) {
  const int32_t line = current().line;
  const std::string name = parse_dotted_name();
  ExpressionPointer node = make_of(Expression::Kind::filter, line, std::move(input));
  node->text = name;
  if (at_sign("(")) parse_arguments(*node);
  return node;
}

bool ExpressionParser::at_bare_argument() const {
  switch (current().kind) {
    case Token::Kind::name: return !at_name("else") && !at_name("or") && !at_name("and");
    case Token::Kind::string:
    case Token::Kind::integer:
    case Token::Kind::real: return true;
    default: return at_sign("[") || at_sign("{");
  }
}

ExpressionPointer ExpressionParser::parse_test(ExpressionPointer input) {
  const int32_t line = take().line;
  const bool negated = skip_name("not");
  const std::string name = parse_dotted_name();
  ExpressionPointer node = make_of(Expression::Kind::test, line, std::move(input));
  node->text = name;
  if (at_sign("(")) {
    parse_arguments(*node);
  } else if (at_bare_argument()) {
    if (at_name("is")) fail("tests cannot be chained");
    node->arguments.positional.push_back(parse_postfix(parse_primary()));
    raise_height(*node, node->arguments.positional.back());
  }
  return negated ? make_of(Expression::Kind::logical_not, line, std::move(node)) : std::move(node);
}

}  // namespace incipit::jinja
