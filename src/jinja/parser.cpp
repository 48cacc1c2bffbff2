// A template's statements, from tokens to a tree.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <utility>

#include "jinja/expression_parser.h"
#include "jinja/syntax.h"

namespace incipit::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body run() { return parse_body({}, ""); }

 private:
  using Names = std::initializer_list<std::string_view>;

  std::unique_ptr<Statement> make_statement(Statement::Kind kind, int32_t line) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

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

  int loops_ = 0;  // around the current token
};

}  // namespace

Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

}  // namespace incipit::jinja
