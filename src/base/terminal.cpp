#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace incipit {

bool takes_escapes(int stream) {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(stream) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

TerminalSize terminal_size(int stream) {
  winsize size{};
  if (::ioctl(stream, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

}  // namespace incipit
