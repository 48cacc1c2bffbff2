// A template's source as tokens. White space control and trimming are done here, as Jinja's lexer does them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::jinja {

struct Token {
  enum class Kind : uint8_t {
    data,
    print_begin,
    print_end,
    tag_begin,
    tag_end,
    name,
    string,
    integer,
    real,
    sign,
    end
  };
  Kind kind;
  int32_t line;      // from 1
  std::string text;  // data as it is put out; a name; a string's value; a sign's characters
  int64_t integer = 0;
  double real = 0;
};

/// Ends with a token of kind `end`. Throws SyntaxFault.
std::vector<Token> tokenize(std::string_view source);

}  // namespace incipit::jinja
