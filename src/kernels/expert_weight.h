// One expert's part of the packed weight of all of them (ExpertLinear).
#pragma once

#include <cstdint>

#include "kernels/layout.h"

namespace incipit {

/// `shape` is one expert's; its planes follow those of the experts before it.
inline PackedWeight expert_weight(const PackedWeight& all, const PackedShape& shape, int64_t expert) {
  const int64_t outputs = expert * shape.panels * panel_width;
  PackedWeight one;
  one.panels = all.panels + expert * shape.bytes();
  one.scales = all.scales == nullptr ? nullptr : all.scales + outputs;
  one.code_sums = all.code_sums == nullptr ? nullptr : all.code_sums + outputs;
  return one;
}

}  // namespace incipit
