// What is known of a product's time before it is measured.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/families.h"

namespace incipit {

/// Clocks of a GPU, about, that a setting takes for so many rows. None: a kernel that nothing is known of.
std::optional<double> estimated_clocks(const Kernel<Linear>& kernel, const Linear::Problem& problem,
                                       const KernelConfig& config, int32_t rows);

}  // namespace incipit
