// incipit store verify.
#pragma once

#include "cli/commands.h"

namespace incipit::cli {

/// Adds `verify` to the command `store`.
void add_store_verify(CLI::App& store, Action& action);

}  // namespace incipit::cli
