// What the header's digests cover.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/target.h"
#include "engine/format.h"

namespace incipit {

/// Sections and weight planes begin at multiples of this.
constexpr uint64_t section_alignment = 64;

constexpr uint64_t aligned(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// The digest of every slab of the weights, which come in pieces of any size.
class SlabDigester {
 public:
  void update(std::span<const std::byte> bytes);
  std::vector<Digest> finish();

 private:
  std::vector<Digest> whole_;
  std::unique_ptr<Digester> open_;  // of a slab that has not got all of its bytes
  uint64_t filled_ = 0;
};

/// How many slabs a weights section of that size has.
constexpr uint64_t slab_count(uint64_t bytes) { return (bytes + weight_slab - 1) / weight_slab; }

/// What the engine's kernels need, in the header's fields.
void set_target(EngineHeader& header, const Target& target);
/// Its inverse, which asks for a header whose backend and features are known (knows_target).
Target target_of(const EngineHeader& header);
bool knows_target(const EngineHeader& header);

/// The digest of the sections' kinds and digests, in order.
Digest body_digest_of(const EngineHeader& header);
/// The digest of all header bytes before `header_digest`.
Digest header_digest_of(const EngineHeader& header);
/// Sets both.
void seal(EngineHeader& header);

}  // namespace incipit
