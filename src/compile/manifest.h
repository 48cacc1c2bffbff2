// The engine's manifest: where it came from and how it was made. No times, no host names: it is part of the body.
#pragma once

#include <string>

#include "base/target.h"
#include "compile/stages.h"

namespace incipit {

/// JSON, keys in a fixed order.
std::string make_manifest(const Rewritten& made, const CompileOptions& options, const Target& target);

}  // namespace incipit
