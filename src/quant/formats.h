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

}  // namespace incipit
