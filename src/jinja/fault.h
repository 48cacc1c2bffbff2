// What goes wrong in a template, before its name is known.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace incipit::jinja {

/// In a rendering: becomes an Error with the template's name and the line that is being rendered.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// In a source: becomes an Error with the template's name and this line.
class SyntaxFault : public Fault {
 public:
  SyntaxFault(int32_t line, const std::string& message) : Fault(message), line_(line) {}
  int32_t line() const { return line_; }

 private:
  int32_t line_;
};

}  // namespace incipit::jinja
