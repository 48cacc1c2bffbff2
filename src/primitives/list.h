// Every primitive. A new one is its files and a line here.
#pragma once

#include "primitives/arg_reduce.h"
#include "primitives/binary.h"
#include "primitives/cast.h"
#include "primitives/causal_conv.h"
#include "primitives/clip.h"
#include "primitives/concat.h"
#include "primitives/cumulate.h"
#include "primitives/dropout.h"
#include "primitives/einsum.h"
#include "primitives/expand.h"
#include "primitives/gather.h"
#include "primitives/linear_attention.h"
#include "primitives/mat_mul.h"
#include "primitives/matmul_integer.h"
#include "primitives/nonzero.h"
#include "primitives/normalization.h"
#include "primitives/one_hot.h"
#include "primitives/pad.h"
#include "primitives/quantize_linear.h"
#include "primitives/range.h"
#include "primitives/reduce.h"
#include "primitives/reshape.h"
#include "primitives/rotary_embedding.h"
#include "primitives/scatter.h"
#include "primitives/sdpa.h"
#include "primitives/shape.h"
#include "primitives/slice.h"
#include "primitives/softmax.h"
#include "primitives/top_k.h"
#include "primitives/transpose.h"
#include "primitives/trilu.h"
#include "primitives/unary.h"
#include "primitives/where.h"

namespace incipit::primitives {

template <typename... P>
struct List {};

using All = List<Concat,  //
                 Binary, Cast, BitCast, Clip, Cumulate, DequantizeLinear, Dropout, DynamicQuantizeLinear, MatMulInteger,
                 QuantizeLinear, Unary, Where,  //
                 ArgReduce, Expand, EyeLike, Flatten, Gather, GatherElements, GatherND, NonZero, OneHot, Pad, Range,
                 Reduce, Reshape, ScatterElements, ScatterND, ShapeOf, Size, Slice, Split, Squeeze, TensorScatter, Tile,
                 TopK, Transpose, Trilu, Unsqueeze,  //
                 CausalConv, Einsum, LayerNormalization, LinearAttention, MatMul, RmsNormalization, RotaryEmbedding,
                 Sdpa, Softmax  //
                 >;

}  // namespace incipit::primitives
