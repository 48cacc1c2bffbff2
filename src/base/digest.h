// Content digests (XXH3, 128 bits): they find accidents and bind parts together; they are no signature.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>

namespace incipit {

struct Digest {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Digest&) const = default;
  std::string hex() const;
  /// For hashing.
  uint64_t low_bits() const {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes.data(), sizeof bits);
    return bits;
  }
};

Digest digest_of(std::span<const std::byte> bytes);

/// Incremental form of digest_of.
class Digester {
 public:
  Digester();
  ~Digester();
  void update(std::span<const std::byte> bytes);
  Digest finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
