// The lexical side of the text form, which the printer and the parser share.
#pragma once

#include <string>
#include <string_view>

namespace incipit {

/// In quotation marks, with \" \\ and \xHH for what could not stand there.
std::string quoted(std::string_view text);
/// Letters, digits and _ . / : -
bool is_name_character(char c);
/// A name as it is where it can be read back so, else quoted.
std::string name_text(std::string_view name);

}  // namespace incipit
