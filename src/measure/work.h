// Operations and bytes of a step, counted from its problem: the numerators of every limit.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "measure/ceilings.h"

namespace incipit {

struct Work {
  double operations = 0;          // multiplications and additions
  DType arithmetic = DType::f32;  // of the products: f32, f16, bf16 or i8
  double bytes = 0;               // that must come from memory: weights, and keys and values of earlier tokens
};

/// A step of so many sequences alike, each with `rows` rows of the step's axis, whose last token stands at position
/// context − 1. Activations are not counted: they may stay in the caches, and a limit must be one.
Work work_of(std::string_view problem, int64_t rows, int64_t context, int64_t sequences = 1);

/// Seconds below which no machine with these ceilings can be.
double limit_seconds(const Work& work, const Ceilings& ceilings);

}  // namespace incipit
