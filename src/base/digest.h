// Content digests (XXH3, 128 bits): they find accidents and bind parts together; they are no signature.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace incipit {

struct Digest {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Digest&) const = default;
  std::string hex() const;
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
