// The records behind an engine's body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/format.h"

namespace incipit {

/// What a record's own digest is to be.
Digest record_digest(const TrailerHeader& header, std::span<const std::byte> payload);

/// Reads the records in file bytes [body_bytes, end). Records of a kind unknown here are checked and passed over: a
/// newer program may have measured the same engine. Throws Error naming `engine` and the byte of the fault.
std::vector<TrailerRecord> read_trailer(std::span<const std::byte> file, uint64_t body_bytes, const Digest& body,
                                        std::string_view engine);

}  // namespace incipit
