#pragma once

#include <cstdint>

namespace incipit {

/// Bytes of memory that this process may use: the machine's ∩ its control group's limit.
int64_t machine_memory();

}  // namespace incipit
