#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "text/template/fault.h"
#include "text/template/lexer.h"
#include "text/template/python_text.h"
#include "text/template/syntax.h"

namespace incipit::jinja {
namespace {

constexpr int deepest = 400;      // of calls of this parser's functions that nest; four a bracket
constexpr int32_t tallest = 200;  // of an expression's tree, in which `a + b + c` is three high

std::string shown(const Token& token) {
  switch (token.kind) {
    case Token::Kind::data: return "text";
    case Token::Kind::print_begin: return "'{{'";
    case Token::Kind::print_end: return "'}}'";
    case Token::Kind::tag_begin: return "'{%'";
    case Token::Kind::tag_end: return "'%}'";
    case Token::Kind::end: return "the template's end";
    case Token::Kind::string: return "a string";
    default: return fmt::format("'{}'", token.text);
  }
}

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Body run() { return parse_body({}, ""); }

 private:
  using Names = std::initializer_list<std::string_view>;

  /// Bounds the recursion of this parser.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > deepest) parser_.fail("it is nested too deeply");
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  static bool is_name(const Token& token, std::string_view name) {
    return token.kind == Token::Kind::name && token.text == name;
  }
  static bool is_sign(const Token& token, std::string_view sign) {
    return token.kind == Token::Kind::sign && token.text == sign;
  }
  bool at_name(std::string_view name) const { return is_name(current(), name); }
  bool at_sign(std::string_view sign) const { return is_sign(current(), sign); }
  bool skip_name(std::string_view name) { return at_name(name) && (take(), true); }
  bool skip_sign(std::string_view sign) { return at_sign(sign) && (take(), true); }
  [[noreturn]] void fail(const std::string& message) const { throw SyntaxFault(current().line, message); }
  void expect_sign(std::string_view sign) {
    if (!skip_sign(sign)) fail(fmt::format("expected '{}', got {}", sign, shown(current())));
  }
  void expect(Token::Kind kind) {
    if (current().kind != kind) fail(fmt::format("expected {}, got {}", shown({kind, 0, {}}), shown(current())));
    take();
  }
  std::string expect_name() {
    if (current().kind != Token::Kind::name) fail(fmt::format("expected a name, got {}", shown(current())));
    return take().text;
  }

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
  std::unique_ptr<Statement> make_statement(Statement::Kind kind, int32_t line) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  // ---- statements

  /// Up to a tag whose name is one of `ends`, which is the current token then; or, without ends, up to the end.
  Body parse_body(Names ends, std::string_view of) {
    const Level level(*this);
    Body body;
    const int32_t line = current().line;
    while (current().kind != Token::Kind::end) {
      if (current().kind == Token::Kind::data) {
        auto data = make_statement(Statement::Kind::data, current().line);
        data->text = take().text;
        body.push_back(std::move(data));
      } else if (current().kind == Token::Kind::print_begin) {
        take();
        auto print = make_statement(Statement::Kind::print, current().line);
        print->expressions.push_back(parse_tuple());
        expect(Token::Kind::print_end);
        body.push_back(std::move(print));
      } else {
        expect(Token::Kind::tag_begin);
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return at_name(end); })) return body;
        parse_statement(body);
        expect(Token::Kind::tag_end);
      }
    }
    if (ends.size() != 0) throw SyntaxFault(line, fmt::format("'{}' has no '{}'", of, *(ends.end() - 1)));
    return body;
  }

  /// The body of a statement whose own tag ends here; leaves the end's name as the current token.
  Body parse_inner(Names ends, std::string_view of) {
    skip_sign(":");
    expect(Token::Kind::tag_end);
    return parse_body(ends, of);
  }
  /// The same, past the end's name.
  Body parse_whole(std::string_view end, std::string_view of) {
    Body body = parse_inner({end}, of);
    take();
    return body;
  }

  void parse_statement(Body& into) {
    const int32_t line = current().line;
    const std::string name = expect_name();
    const auto scope = [&](std::string_view end) {
      auto statement = make_statement(Statement::Kind::scope, line);
      statement->bodies.push_back(parse_whole(end, name));
      into.push_back(std::move(statement));
    };
    if (name == "if") return into.push_back(parse_if(line));
    if (name == "for") return into.push_back(parse_for(line));
    if (name == "set") return into.push_back(parse_set(line));
    if (name == "macro") return into.push_back(parse_macro(line));
    if (name == "call") return into.push_back(parse_call_block(line));
    if (name == "filter") return into.push_back(parse_filter_block(line));
    if (name == "with") return into.push_back(parse_with(line));
    if (name == "print") return parse_print(into, line);
    if (name == "generation") return scope("endgeneration");
    if (name == "autoescape") {
      if (!skip_name("false")) fail("only {% autoescape false %} is supported");
      return scope("endautoescape");
    }
    if (name == "block") {
      const std::string title = expect_name();
      skip_name("scoped");
      scope("endblock");
      skip_name(title);
      return;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) throw SyntaxFault(line, fmt::format("'{}' stands outside of a loop", name));
      return into.push_back(
          make_statement(name == "break" ? Statement::Kind::leave_loop : Statement::Kind::next_item, line));
    }
    for (const std::string_view other : {"include", "import", "from", "extends"}) {
      if (name == other) throw SyntaxFault(line, fmt::format("'{}' needs another template, and there is none", name));
    }
    throw SyntaxFault(line, fmt::format("unknown tag '{}'", name));
  }

  std::unique_ptr<Statement> parse_if(int32_t line) {
    auto statement = make_statement(Statement::Kind::condition, line);
    while (true) {
      statement->expressions.push_back(parse_tuple(false));
      statement->bodies.push_back(parse_inner({"elif", "else", "endif"}, "if"));
      const std::string end = take().text;
      if (end == "else") statement->bodies.push_back(parse_whole("endif", "if"));
      if (end != "elif") return statement;
    }
  }

  std::unique_ptr<Statement> parse_for(int32_t line) {
    auto statement = make_statement(Statement::Kind::loop, line);
    statement->target = parse_target();
    if (!skip_name("in")) fail(fmt::format("expected 'in', got {}", shown(current())));
    statement->expressions.push_back(parse_tuple(false, "recursive"));
    statement->expressions.push_back(skip_name("if") ? parse_expression() : nullptr);
    statement->recursive = skip_name("recursive");
    ++loops_;
    statement->bodies.push_back(parse_inner({"else", "endfor"}, "for"));
    --loops_;
    if (take().text == "else") statement->bodies.push_back(parse_whole("endfor", "for"));
    return statement;
  }

  std::unique_ptr<Statement> parse_set(int32_t line) {
    auto statement = make_statement(Statement::Kind::assign, line);
    statement->target = parse_target(true);
    if (skip_sign("=")) {
      statement->expressions.push_back(parse_tuple());
      return statement;
    }
    statement->kind = Statement::Kind::assign_block;
    statement->expressions.push_back(at_sign("|") ? parse_filters(nullptr) : nullptr);
    statement->bodies.push_back(parse_whole("endset", "set"));
    return statement;
  }

  Parameters parse_parameters() {
    Parameters parameters;
    expect_sign("(");
    while (!at_sign(")")) {
      if (!parameters.names.empty()) expect_sign(",");
      parameters.names.push_back(expect_name());
      if (skip_sign("=")) {
        parameters.defaults.push_back(parse_expression());
      } else if (!parameters.defaults.empty()) {
        fail("a parameter without a default follows one with a default");
      }
    }
    expect_sign(")");
    return parameters;
  }

  /// A macro's body: what loops are around its definition are not around its calls.
  Body parse_macro_body(Parameters& parameters, std::string_view end, std::string_view of) {
    const int outer_loops = std::exchange(loops_, 0);
    const Extras outer_extras = std::exchange(extras_, {});
    Body body = parse_whole(end, of);
    parameters.more_positional = extras_.positional;
    parameters.more_keywords = extras_.keywords;
    loops_ = outer_loops;
    extras_ = outer_extras;
    return body;
  }

  std::unique_ptr<Statement> parse_macro(int32_t line) {
    auto statement = make_statement(Statement::Kind::macro, line);
    statement->text = expect_name();
    statement->parameters = parse_parameters();
    statement->bodies.push_back(parse_macro_body(statement->parameters, "endmacro", "macro"));
    return statement;
  }

  std::unique_ptr<Statement> parse_call_block(int32_t line) {
    auto statement = make_statement(Statement::Kind::call_block, line);
    statement->text = "caller";
    if (at_sign("(")) statement->parameters = parse_parameters();
    statement->expressions.push_back(parse_expression());
    if (statement->expressions.front()->kind != Expression::Kind::call) fail("'call' needs a call");
    statement->bodies.push_back(parse_macro_body(statement->parameters, "endcall", "call"));
    return statement;
  }

  std::unique_ptr<Statement> parse_filter_block(int32_t line) {
    auto statement = make_statement(Statement::Kind::filter_block, line);
    statement->expressions.push_back(parse_filters(parse_one_filter(nullptr)));
    statement->bodies.push_back(parse_whole("endfilter", "filter"));
    return statement;
  }

  std::unique_ptr<Statement> parse_with(int32_t line) {
    auto statement = make_statement(Statement::Kind::with, line);
    while (current().kind != Token::Kind::tag_end && !at_sign(":")) {
      if (!statement->expressions.empty()) expect_sign(",");
      statement->expressions.push_back(parse_primary());
      check_target(*statement->expressions.back());
      expect_sign("=");
      statement->expressions.push_back(parse_expression());
    }
    statement->bodies.push_back(parse_whole("endwith", "with"));
    return statement;
  }

  void parse_print(Body& into, int32_t line) {
    for (bool first = true; current().kind != Token::Kind::tag_end; first = false) {
      if (!first) expect_sign(",");
      auto statement = make_statement(Statement::Kind::print, line);
      statement->expressions.push_back(parse_expression());
      into.push_back(std::move(statement));
    }
  }

  void check_target(const Expression& target) const {
    if (target.kind == Expression::Kind::name || target.kind == Expression::Kind::attribute) return;
    if (target.kind != Expression::Kind::tuple) fail("it cannot be assigned to");
    for (const ExpressionPointer& child : target.children) check_target(*child);
  }

  /// Names with commas between them; `attributes`: or an attribute of a name each.
  ExpressionPointer parse_target(bool attributes = false) {
    const int32_t line = current().line;
    std::vector<ExpressionPointer> targets;
    bool tuple = false;
    while (true) {
      targets.push_back(parse_one_target(attributes));
      if (!skip_sign(",")) break;
      tuple = true;
      if (at_name("in") || at_sign("=") || current().kind == Token::Kind::tag_end) break;
    }
    if (!tuple) return std::move(targets.front());
    return make(Expression::Kind::tuple, line, std::move(targets));
  }

  ExpressionPointer parse_one_target(bool attributes) {
    const int32_t line = current().line;
    ExpressionPointer target = parse_primary();
    if (attributes && target->kind == Expression::Kind::name && skip_sign(".")) {
      const std::string name = expect_name();
      target = make_of(Expression::Kind::attribute, line, std::move(target));
      target->text = name;
    }
    check_target(*target);
    return target;
  }

  // ---- expressions, loosest first

  /// An expression, or several with commas between them. Ends before `end`.
  ExpressionPointer parse_tuple(bool with_conditional = true, std::string_view end = {}, bool in_brackets = false) {
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

  ExpressionPointer parse_expression() {
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

  ExpressionPointer parse_or() {
    const int32_t line = current().line;
    ExpressionPointer left = parse_and();
    while (skip_name("or")) left = make_of(Expression::Kind::logical_or, line, std::move(left), parse_and());
    return left;
  }

  ExpressionPointer parse_and() {
    const int32_t line = current().line;
    ExpressionPointer left = parse_not();
    while (skip_name("and")) left = make_of(Expression::Kind::logical_and, line, std::move(left), parse_not());
    return left;
  }

  ExpressionPointer parse_not() {
    const Level level(*this);
    const int32_t line = current().line;
    if (skip_name("not")) return make_of(Expression::Kind::logical_not, line, parse_not());
    return parse_compare();
  }

  bool take_comparison(Operator& which) {
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

  ExpressionPointer parse_compare() {
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

  ExpressionPointer make_binary(Operator which, int32_t line, ExpressionPointer left, ExpressionPointer right) const {
    ExpressionPointer node = make_of(Expression::Kind::binary, line, std::move(left), std::move(right));
    node->operators.push_back(which);
    return node;
  }

  ExpressionPointer parse_sum() {
    ExpressionPointer left = parse_concatenation();
    while (at_sign("+") || at_sign("-")) {
      const int32_t line = current().line;
      const Operator which = take().text == "+" ? Operator::add : Operator::subtract;
      left = make_binary(which, line, std::move(left), parse_concatenation());
    }
    return left;
  }

  ExpressionPointer parse_concatenation() {
    const int32_t line = current().line;
    ExpressionPointer first = parse_product();
    if (!at_sign("~")) return first;
    ExpressionPointer node = make_of(Expression::Kind::concatenate, line, std::move(first));
    while (skip_sign("~")) adopt(*node, parse_product());
    return node;
  }

  ExpressionPointer parse_product() {
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

  ExpressionPointer parse_power() {
    ExpressionPointer left = parse_unary(true);
    while (at_sign("**")) {
      const int32_t line = take().line;
      left = make_binary(Operator::power, line, std::move(left), parse_unary(true));
    }
    return left;
  }

  ExpressionPointer parse_unary(bool with_filters) {
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

  ExpressionPointer parse_primary() {
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

  ExpressionPointer parse_word() {
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

  ExpressionPointer parse_list() {
    ExpressionPointer node = make(Expression::Kind::list, take().line);
    while (!at_sign("]")) {
      adopt(*node, parse_expression());
      if (!at_sign("]")) expect_sign(",");
    }
    take();
    return node;
  }

  ExpressionPointer parse_dict() {
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

  ExpressionPointer parse_postfix(ExpressionPointer node) {
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

  ExpressionPointer parse_filters(ExpressionPointer node) {
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

  ExpressionPointer parse_attribute(ExpressionPointer object) {
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

  ExpressionPointer parse_subscript(ExpressionPointer object) {
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

  void parse_arguments(Expression& node) {
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

  ExpressionPointer parse_call(ExpressionPointer callee) {
    ExpressionPointer node = make_of(Expression::Kind::call, current().line, std::move(callee));
    parse_arguments(*node);
    return node;
  }

  std::string parse_dotted_name() {
    std::string name = expect_name();
    while (skip_sign(".")) name += "." + expect_name();
    return name;
  }

  ExpressionPointer parse_one_filter(ExpressionPointer input) {
    const int32_t line = current().line;
    const std::string name = parse_dotted_name();
    ExpressionPointer node = make_of(Expression::Kind::filter, line, std::move(input));
    node->text = name;
    if (at_sign("(")) parse_arguments(*node);
    return node;
  }

  /// Whether a test's one argument stands here, without brackets.
  bool at_bare_argument() const {
    switch (current().kind) {
      case Token::Kind::name: return !at_name("else") && !at_name("or") && !at_name("and");
      case Token::Kind::string:
      case Token::Kind::integer:
      case Token::Kind::real: return true;
      default: return at_sign("[") || at_sign("{");
    }
  }

  ExpressionPointer parse_test(ExpressionPointer input) {
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

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // around the current token
  /// Which of `varargs` and `kwargs` the macro around the current token has named.
  struct Extras {
    bool positional = false, keywords = false;
  };
  Extras extras_;
};

}  // namespace

Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

}  // namespace incipit::jinja
