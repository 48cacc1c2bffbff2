// Walks over a template's tokens.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/fault.h"
#include "jinja/lexer.h"

namespace incipit::jinja {

/// What messages call a token.
std::string shown(const Token& token);

class TokenReader {
 public:
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  /// Bounds the recursion of the parser.
  class Level {
   public:
    explicit Level(TokenReader& reader) : reader_(reader) {
      if (++reader_.depth_ > deepest) reader_.fail("it is nested too deeply");
    }
    ~Level() { --reader_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenReader& reader_;
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
  [[noreturn]] void fail_expecting(const std::string& what) const {
    fail("expected " + what + ", got " + shown(current()));
  }
  void expect_sign(std::string_view sign) {
    if (!skip_sign(sign)) fail_expecting("'" + std::string(sign) + "'");
  }
  void expect(Token::Kind kind) {
    if (current().kind != kind) fail_expecting(shown({kind, 0, {}}));
    take();
  }
  std::string expect_name() {
    if (current().kind != Token::Kind::name) fail_expecting("a name");
    return take().text;
  }

 private:
  static constexpr int deepest = 400;  // of the parser's functions that nest; four a bracket

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace incipit::jinja
