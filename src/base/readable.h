// Quantities as people read them.
#pragma once

#include <string>

namespace incipit {

/// "31.4 MB": decimal units.
std::string readable_bytes(double bytes);

}  // namespace incipit
