// Every primitive. A new one is its files and a line here.
#pragma once

#include "primitives/binary.h"
#include "primitives/cast.h"
#include "primitives/clip.h"
#include "primitives/concat.h"
#include "primitives/cumulate.h"
#include "primitives/dropout.h"
#include "primitives/matmul_integer.h"
#include "primitives/quantize_linear.h"
#include "primitives/unary.h"
#include "primitives/where.h"

namespace incipit::primitives {

template <typename... P>
struct List {};

using All = List<Concat,  //
                 Binary, Cast, BitCast, Clip, Cumulate, DequantizeLinear, Dropout, DynamicQuantizeLinear, MatMulInteger,
                 QuantizeLinear, Unary, Where  //
                 >;

}  // namespace incipit::primitives
