// The formats, one file each; format.cpp lists them.
#pragma once

#include "quant/format.h"

namespace incipit {

/// Weights widened to f32; exact.
extern const WeightFormatInfo f32_format;
/// Weights rounded to bf16 (nearest, ties to even); exact where they are bf16 already.
extern const WeightFormatInfo bf16_format;
/// Symmetric, one scale a row (output channel): scale = max|w| / 127, code = round-half-even(w / scale).
extern const WeightFormatInfo int8_format;

}  // namespace incipit
