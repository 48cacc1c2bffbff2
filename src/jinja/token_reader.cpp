#include "jinja/token_reader.h"

#include <fmt/format.h>

namespace incipit::jinja {

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

}  // namespace incipit::jinja
