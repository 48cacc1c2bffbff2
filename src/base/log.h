// Logging: spdlog to standard error. `incipit --log-level debug|info|warn|error`; warn is the default.
#pragma once

#include <spdlog/spdlog.h>

namespace incipit {

/// Sets up the default logger (standard error, short pattern). Level names as spdlog's.
void configure_logging(const std::string& level);

}  // namespace incipit
