// Takes memory out of the processor's caches.
#pragma once

#include <cstddef>
#include <span>

namespace incipit {

/// Whether this processor can.
bool can_evict();

/// The next read of these bytes comes from memory, whatever the size of the caches. Needs can_evict().
void evict(std::span<const std::byte> bytes);

}  // namespace incipit
