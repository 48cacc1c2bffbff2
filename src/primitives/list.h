// Every primitive. A new one is its files, its include and its name here.
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

// clang-format off
/// one(NAME) for each of them, in the order of their names.
#define INCIPIT_PRIMITIVES(one) \
  one(ArgReduce) one(Binary) one(BitCast) one(Cast) one(CausalConv) one(Clip) one(Concat) \
  one(Cumulate) one(DequantizeLinear) one(Dropout) one(DynamicQuantizeLinear) one(Einsum) \
  one(Expand) one(EyeLike) one(Flatten) one(Gather) one(GatherElements) one(GatherND) \
  one(LayerNormalization) one(LinearAttention) one(MatMul) one(MatMulInteger) one(NonZero) \
  one(OneHot) one(Pad) one(QuantizeLinear) one(Range) one(Reduce) one(Reshape) \
  one(RmsNormalization) one(RotaryEmbedding) one(ScatterElements) one(ScatterND) one(Sdpa) \
  one(ShapeOf) one(Size) one(Slice) one(Softmax) one(Split) one(Squeeze) one(TensorScatter) \
  one(Tile) one(TopK) one(Transpose) one(Trilu) one(Unary) one(Unsqueeze) one(Where)
// clang-format on

namespace incipit::primitives {

template <typename... P>
struct List {};

#define INCIPIT_NEXT(NAME) , NAME
/// All of them as types.
template <typename None, typename... P>
struct ListBehind {
  using Type = List<P...>;
};
using All = ListBehind<void INCIPIT_PRIMITIVES(INCIPIT_NEXT)>::Type;
#undef INCIPIT_NEXT

}  // namespace incipit::primitives
