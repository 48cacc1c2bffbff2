// Digests under a secret key: who does not have the key cannot try texts out against them.
// Source: Aumasson and Bernstein, SipHash: a fast short-input PRF (SipHash-2-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace incipit {

struct DigestKey {
  std::array<uint8_t, 16> bytes{};
  /// Of the system's randomness. Throws Error where it has none.
  static DigestKey random();
};

uint64_t keyed_digest(const DigestKey& key, std::span<const std::byte> bytes);

}  // namespace incipit
