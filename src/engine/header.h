// What the header's digests cover.
#pragma once

#include <cstdint>

#include "engine/format.h"

namespace incipit {

/// Sections and weight planes begin at multiples of this.
constexpr uint64_t section_alignment = 64;

constexpr uint64_t aligned(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// The digest of the sections' kinds and digests, in order.
Digest body_digest_of(const EngineHeader& header);
/// The digest of all header bytes before `header_digest`.
Digest header_digest_of(const EngineHeader& header);
/// Sets both.
void seal(EngineHeader& header);

}  // namespace incipit
