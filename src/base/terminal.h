// What a terminal is able to.
#pragma once

namespace incipit {

/// Whether a stream is a terminal that can erase, and move its cursor, by escape sequences.
bool takes_escapes(int stream);

/// Columns and rows of a terminal; zeros where they are not known.
struct TerminalSize {
  int columns = 0, rows = 0;
};
TerminalSize terminal_size(int stream);

}  // namespace incipit
