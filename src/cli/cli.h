// The command line: `incipit SUBCOMMAND …`.
#pragma once

namespace incipit::cli {

/// Parses and runs. Prints an Error in one line on standard error and returns 1; usage errors return 2; a signal that
/// ends it returns 128 and its number.
int main(int argc, char** argv);

}  // namespace incipit::cli
