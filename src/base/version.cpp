#include "base/version.h"

namespace incipit {

std::string_view version() { return INCIPIT_VERSION; }

}  // namespace incipit
