// The formats, one file each; format.cpp lists them.
#pragma once

#include "quant/format.h"

namespace incipit {

/// Weights widened to f32; exact.
extern const NamedWeightFormat f32_format;
/// Weights rounded to bf16 (nearest, ties to even); exact where they are bf16 already.
extern const NamedWeightFormat bf16_format;
/// Weights rounded to IEEE half (nearest, ties to even); exact where they are that already. Products widen them:
/// activations stay f32. Reading a weight of magnitude 65520 or more, or NaN, throws Error.
extern const NamedWeightFormat f16_format;
/// Symmetric, one scale a row (output channel): scale = max|w| / 127, code = round-half-even(w / scale).
extern const NamedWeightFormat int8_format;
/// Codes of four bits for groups of 64 inputs, or so many as the name says, each with a bf16 scale: −8…7, or 0…15 with
/// a zero point. Of some scales each group takes the one of least squared error. Activations become codes of eight bits
/// with a scale a row.
extern const NamedWeightFormat int4_format, int4_g32_format, int4_g128_format;
extern const NamedWeightFormat int4_zero_format, int4_zero_g32_format, int4_zero_g128_format;

}  // namespace incipit
