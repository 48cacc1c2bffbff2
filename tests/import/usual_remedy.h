// What an error about config.json ends with where it has no remedy of its own.
#pragma once

#include <string>

namespace incipit {

inline const std::string usual_remedy =
    "; check it against the publisher's file; a model that needs it cannot be built yet";

}  // namespace incipit
