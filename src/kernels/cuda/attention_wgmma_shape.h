// How attention_wgmma.cu takes shared memory: what host and device must agree on.
#pragma once

#include <cstdint>

namespace incipit {

struct AttentionWgmmaShape {
  int32_t head_dim;

  static constexpr int32_t warpgroups = 2, group_rows = 64;
  static constexpr int32_t buffers = 6;  // of a page's keys, or its values

  /// Of a page's keys, of its values, or of a warpgroup's queries.
  constexpr int32_t operand_bytes() const { return group_rows * 2 * head_dim; }
  /// With what may be lost in front of it.
  constexpr int32_t shared_bytes() const { return (warpgroups + buffers) * operand_bytes() + 1024; }
};

}  // namespace incipit
