// Loads, stores and functions on vectors of floats that all Highway kernels share. Compiled anew for every target.
#if defined(INCIPIT_HIGHWAY_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef INCIPIT_HIGHWAY_ROWS_INL
#undef INCIPIT_HIGHWAY_ROWS_INL
#else
#define INCIPIT_HIGHWAY_ROWS_INL
#endif

#include <cstring>

#include "base/dtype.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/families.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = HWY_FULL(float);
using FloatVec = hn::Vec<FloatTag>;
using WordTag = hn::RebindToUnsigned<FloatTag>;
using IntTag = hn::RebindToSigned<FloatTag>;
using HalfTag = hn::Rebind<uint16_t, FloatTag>;
using ByteTag = hn::Rebind<int8_t, FloatTag>;

HWY_INLINE size_t float_lanes() { return hn::Lanes(FloatTag()); }

HWY_INLINE FloatVec load_floats(const float* from) { return hn::LoadU(FloatTag(), from); }
HWY_INLINE FloatVec load_floats(const bf16* from) {
  const auto bits = hn::LoadU(HalfTag(), reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(hn::PromoteTo(WordTag(), bits)));
}

/// As from_f16_lanes of vector_math.inc.
HWY_INLINE FloatVec load_floats(const f16* from) {
  const WordTag words;
  const auto bits = hn::PromoteTo(words, hn::LoadU(HalfTag(), reinterpret_cast<const uint16_t*>(from)));
  const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(words, 0x7fff)));
  const auto exponent = hn::And(magnitude, hn::Set(words, 0x0f800000));
  const auto normal = hn::Add(magnitude, hn::Set(words, 0x38000000));
  const auto raised = hn::BitCast(FloatTag(), hn::Add(normal, hn::Set(words, 0x800000)));
  const auto small = hn::BitCast(words, hn::Sub(raised, hn::Set(FloatTag(), 6.103515625e-5f)));
  auto widened =
      hn::IfThenElse(hn::Eq(exponent, hn::Set(words, 0x0f800000)), hn::Add(normal, hn::Set(words, 0x38000000)), normal);
  widened = hn::IfThenElse(hn::Eq(exponent, hn::Zero(words)), small, widened);
  return hn::BitCast(FloatTag(), hn::Or(widened, hn::ShiftLeft<16>(hn::And(bits, hn::Set(words, 0x8000)))));
}

HWY_INLINE void store_floats(FloatVec v, float* to) { hn::StoreU(v, FloatTag(), to); }
/// Rounds to nearest even; NaN stays NaN, as to_bf16 does.
HWY_INLINE void store_floats(FloatVec v, bf16* to) {
  const WordTag words;
  const auto bits = hn::BitCast(words, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(words, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(words, 0x400000));
  const auto is_nan = hn::RebindMask(words, hn::Ne(v, v));
  const auto high = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
  hn::StoreU(hn::DemoteTo(HalfTag(), hn::BitCast(IntTag(), high)), HalfTag(), reinterpret_cast<uint16_t*>(to));
}
/// Rounds to nearest even, beyond 65504 to infinity; NaN stays NaN, as to_f16 does.
HWY_INLINE void store_floats(FloatVec v, f16* to) {
  const WordTag words;
  const IntTag ints;
  const auto bits = hn::BitCast(words, v);
  const auto magnitude = hn::And(bits, hn::Set(words, 0x7fffffff));
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(words, 1));
  const auto normal =
      hn::ShiftRight<13>(hn::Sub(hn::Add(magnitude, hn::Add(odd, hn::Set(words, 0xfff))), hn::Set(words, 0x38000000)));
  // The float adder rounds what is subnormal in f16.
  const auto shifted = hn::Add(hn::BitCast(FloatTag(), magnitude), hn::Set(FloatTag(), 0.5f));
  const auto small = hn::Sub(hn::BitCast(words, shifted), hn::Set(words, 0x3f000000));
  const auto below = [&](uint32_t limit) HWY_ATTR {
    return hn::RebindMask(words, hn::Lt(hn::BitCast(ints, magnitude), hn::Set(ints, static_cast<int32_t>(limit))));
  };
  auto rounded = hn::IfThenElse(below(0x38800000), small, normal);
  rounded = hn::IfThenElse(below(0x477ff000), rounded, hn::Set(words, 0x7c00));
  rounded = hn::IfThenElse(below(0x7f800001), rounded, hn::Set(words, 0x7e00));
  const auto sign = hn::ShiftRight<16>(hn::And(bits, hn::Set(words, 0x80000000)));
  hn::StoreU(hn::DemoteTo(HalfTag(), hn::BitCast(ints, hn::Or(rounded, sign))), HalfTag(),
             reinterpret_cast<uint16_t*>(to));
}

/// The first `count` elements, fewer than a vector, followed by zeros; and their store. Nothing else is touched.
template <typename T>
HWY_INLINE FloatVec load_some(const T* from, size_t count) {
  alignas(64) T buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, from, count * sizeof(T));
  return load_floats(buffer);
}
template <typename T>
HWY_INLINE void store_some(FloatVec v, T* to, size_t count) {
  alignas(64) T buffer[HWY_MAX_BYTES / sizeof(float)];
  store_floats(v, buffer);
  std::memcpy(to, buffer, count * sizeof(T));
}

/// 1 / (1 + e^−x): 3 ulp. The exponential is within 1 ulp; beyond x = −100 the result is 0.
HWY_INLINE FloatVec logistic(FloatVec x) {
  const FloatTag d;
  const auto bounded = hn::Min(hn::Set(d, 100.0f), hn::Neg(x));  // this order keeps a NaN
  return hn::Div(hn::Set(d, 1.0f), hn::Add(hn::Set(d, 1.0f), hn::Exp(d, bounded)));
}

/// erf(x) within 2 ulp with fused multiply-add, 4 without: an odd polynomial near zero, 1 − e^polynomial beyond.
HWY_INLINE FloatVec error_function(FloatVec x) {
  const FloatTag d;
  const auto t = hn::Abs(x);
  const auto s = hn::Mul(x, x);
  auto low = hn::MulAdd(t, hn::Set(d, -1.72853470e-5f), hn::Set(d, 3.83197126e-4f));
  const auto high = hn::MulAdd(t, hn::Set(d, -3.88396438e-3f), hn::Set(d, 2.42546219e-2f));
  low = hn::MulAdd(low, s, high);
  low = hn::MulAdd(low, t, hn::Set(d, -1.06777877e-1f));
  low = hn::MulAdd(low, t, hn::Set(d, -6.34846687e-1f));
  low = hn::MulAdd(low, t, hn::Set(d, -1.28717512e-1f));
  low = hn::MulSub(low, t, t);
  const auto far = hn::CopySign(hn::Sub(hn::Set(d, 1.0f), hn::Exp(d, low)), x);
  auto near = hn::MulAdd(s, hn::Set(d, -5.96761703e-4f), hn::Set(d, 4.99119423e-3f));
  near = hn::MulAdd(near, s, hn::Set(d, -2.67681349e-2f));
  near = hn::MulAdd(near, s, hn::Set(d, 1.12819925e-1f));
  near = hn::MulAdd(near, s, hn::Set(d, -3.76125336e-1f));
  near = hn::MulAdd(near, s, hn::Set(d, 1.28379166e-1f));
  near = hn::MulAdd(near, x, x);
  return hn::IfThenElse(hn::Gt(t, hn::Set(d, 0.927734375f)), far, near);
}

/// activation(x); error at most 4 ulp of |x| (relu and none are exact, relu_squared rounds once).
template <Activation activation>
HWY_INLINE FloatVec activate_vector(FloatVec x) {
  const FloatTag d;
  if constexpr (activation == Activation::silu) return hn::Mul(x, logistic(x));
  if constexpr (activation == Activation::gelu_tanh) {
    // (1 + tanh u) / 2 = logistic(2u)
    const auto cubic = hn::Mul(hn::Mul(x, x), hn::Mul(x, hn::Set(d, 0.044715f)));
    return hn::Mul(x, logistic(hn::Mul(hn::Set(d, 1.5957691216f), hn::Add(x, cubic))));
  }
  if constexpr (activation == Activation::gelu_erf) {
    const auto e = error_function(hn::Mul(x, hn::Set(d, 0.70710678f)));
    return hn::Mul(hn::Mul(x, hn::Set(d, 0.5f)), hn::Add(hn::Set(d, 1.0f), e));
  }
  if constexpr (activation == Activation::sigmoid) return hn::IfThenElse(hn::IsNaN(x), x, logistic(x));
  if constexpr (activation == Activation::relu) return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);  // NaN stays
  if constexpr (activation == Activation::relu_squared) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, x));
  }
  return x;
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#endif
