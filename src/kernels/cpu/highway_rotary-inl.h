// A head's conversion and its rotation by a row of the step's table, which Rotary and KvWrite share. Compiled anew for
// every target.
#if defined(INCIPIT_HIGHWAY_ROTARY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef INCIPIT_HIGHWAY_ROTARY_INL
#undef INCIPIT_HIGHWAY_ROTARY_INL
#else
#define INCIPIT_HIGHWAY_ROTARY_INL
#endif

#include <cstring>
#include <type_traits>

#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

/// Converts `count` elements. In place when the pointers agree.
template <typename Input, typename Output>
HWY_INLINE void convert_elements(const Input* from, int64_t count, Output* to) {
  if constexpr (std::is_same_v<Input, Output>) {
    if (from != to) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(Output));
    return;
  }
  const auto n = static_cast<int64_t>(float_lanes());
  int64_t i = 0;
  for (; i + n <= count; i += n) store_floats(load_floats(from + i), to + i);
  if (i < count)
    store_some(load_some(from + i, static_cast<size_t>(count - i)), to + i, static_cast<size_t>(count - i));
}

/// Llama's halves: dims (i, pairs + i) of one head. In place when the pointers agree.
template <typename Input, typename Output>
HWY_INLINE void rotate_halves(const Input* from, const float* cosines, const float* sines, int64_t pairs, Output* to) {
  const auto n = static_cast<int64_t>(float_lanes());
  int64_t i = 0;
  for (; i + n <= pairs; i += n) {
    const auto x = load_floats(from + i), y = load_floats(from + pairs + i);
    const auto c = load_floats(cosines + i), s = load_floats(sines + i);
    store_floats(hn::NegMulAdd(y, s, hn::Mul(x, c)), to + i);
    store_floats(hn::MulAdd(x, s, hn::Mul(y, c)), to + pairs + i);
  }
  if (i < pairs) {
    const auto rest = static_cast<size_t>(pairs - i);
    const auto x = load_some(from + i, rest), y = load_some(from + pairs + i, rest);
    const auto c = load_some(cosines + i, rest), s = load_some(sines + i, rest);
    store_some(hn::NegMulAdd(y, s, hn::Mul(x, c)), to + i, rest);
    store_some(hn::MulAdd(x, s, hn::Mul(y, c)), to + pairs + i, rest);
  }
}

HWY_INLINE float element(const float* from) { return *from; }
HWY_INLINE float element(const bf16* from) { return to_float(*from); }
HWY_INLINE void set_element(float* to, float value) { *to = value; }
HWY_INLINE void set_element(bf16* to, float value) { *to = to_bf16(value); }
HWY_INLINE void set_element(f16* to, float value) { *to = to_f16(value); }

/// Neighbours: dims (2i, 2i + 1).
template <typename Input, typename Output>
HWY_INLINE void rotate_neighbours(const Input* from, const float* cosines, const float* sines, int64_t pairs,
                                  Output* to) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float x = element(from + 2 * i), y = element(from + 2 * i + 1);
    set_element(to + 2 * i, x * cosines[i] - y * sines[i]);
    set_element(to + 2 * i + 1, y * cosines[i] + x * sines[i]);
  }
}

/// One head, by cosines [pairs] and the sines behind them; what is not rotated passes through.
template <typename Input, typename Output>
HWY_INLINE void rotate_head(const Input* from, int64_t head_dim, const float* cosines, int64_t pairs, bool interleaved,
                            Output* to) {
  interleaved ? rotate_neighbours(from, cosines, cosines + pairs, pairs, to)
              : rotate_halves(from, cosines, cosines + pairs, pairs, to);
  convert_elements(from + 2 * pairs, head_dim - 2 * pairs, to + 2 * pairs);
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#endif
