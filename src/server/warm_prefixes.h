// What the cache of one engine holds, computed again by another, which is about to take its place.
#pragma once

#include "session/gateway.h"

namespace incipit {

/// The texts that were used last, beside what both engines do for others, within some seconds. What the new engine
/// cannot take (another vocabulary, a shorter context) is left out.
void warm_prefixes(Gateway& from, Gateway& to);

}  // namespace incipit
