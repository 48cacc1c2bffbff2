// Brings weights from a mapped file onto the GPU.
#pragma once

#include <cstddef>
#include <span>

#include "base/cuda_driver.h"

namespace incipit {

/// Copies `bytes` to `target`, and returns when they are there. Threads read the mapping into memory that the GPU reads
/// by itself, each in pieces by turns, so that reading and copying overlap. Throws Error when the driver fails.
void upload_to_gpu(cuda::Address target, std::span<const std::byte> bytes);

}  // namespace incipit
