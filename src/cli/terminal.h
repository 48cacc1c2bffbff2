// A terminal whose keys come as they are pressed: lines as the system edits them end at 4,095 bytes, the rest is lost.
#pragma once

#include <string_view>

#include "base/terminal.h"

namespace incipit::cli {

/// While this lives, standard input, where it is a terminal, gives its bytes at once and without echo, and Ctrl-C
/// remains a signal. One at a time. The terminal is as it was before when this ends, when Ctrl-Z stops the process, and
/// when a signal ends it.
class KeyTerminal {
 public:
  KeyTerminal();
  ~KeyTerminal();
  KeyTerminal(const KeyTerminal&) = delete;
  KeyTerminal& operator=(const KeyTerminal&) = delete;

  /// Whether standard input is a terminal that has been taken so.
  bool held() const;
  /// Zeros also where the cursor cannot be moved between rows.
  TerminalSize size() const;
  /// Shows a text on the terminal; drops it where no standard stream leads there (the system echoes keys then).
  void draw(std::string_view text) const;

 private:
  int screen_ = -1;
};

}  // namespace incipit::cli
