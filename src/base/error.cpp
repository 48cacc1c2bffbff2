#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace incipit {
namespace {

std::string one_line(std::string_view thing, std::string_view fault, std::string_view remedy) {
  std::string text(thing);
  if (!thing.empty()) text += ": ";
  text += fault;
  if (!remedy.empty()) {
    text += "; ";
    text += remedy;
  }
  // Names come from foreign files: keep the promise of one printable line.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

Error::Error(std::string_view thing, std::string_view fault, std::string_view remedy)
    : std::runtime_error(one_line(thing, fault, remedy)), thing_(thing), fault_(fault), remedy_(remedy) {}

namespace detail {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "incipit: internal error: %s (%s:%d); please report this\n", condition, file, line);
  std::abort();
}

}  // namespace detail
}  // namespace incipit
