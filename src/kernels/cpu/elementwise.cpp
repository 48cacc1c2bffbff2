// Columnwise work on rows. Loops that only move numbers are compiled for every operation and three dtypes. Those with
// an exponential in them ask at each vector what the dtypes are, which takes them no longer: a loop for every three
// would take the compiler half a minute.
#include <cstring>
#include <type_traits>

#include "base/xielu.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

/// Numbers that are the same for all elements, at every lane.
struct Constants {
  FloatVec factor, positive, negative, slope, bend;
  explicit Constants(const Elementwise::Problem& problem, const Elementwise::Args& args) {
    const FloatTag d;
    factor = hn::Set(d, problem.factor);
    XieluCurve curve{};
    if (problem.op == ElementwiseOp::xielu) std::memcpy(&curve, args.second, sizeof curve);
    positive = hn::Set(d, curve.positive);
    negative = hn::Set(d, curve.negative);
    slope = hn::Set(d, curve.slope);
    bend = hn::Set(d, curve.bend);
  }
};

/// xielu() of base/xielu.h. Highway's e^x − 1 is within 4 units in the last place.
HWY_INLINE FloatVec xielu_vector(FloatVec x, const Constants& c) {
  const FloatTag d;
  const auto above = hn::Mul(c.positive, hn::Mul(x, x));
  const auto below = hn::Mul(c.negative, hn::Sub(hn::Expm1(d, hn::Min(x, c.bend)), x));
  return hn::MulAdd(c.slope, x, hn::IfThenElse(hn::Gt(x, hn::Zero(d)), above, below));
}

/// One operation on vectors; `binary` ones use b.
template <ElementwiseOp op, Activation activation = Activation::none>
struct Operation {
  static constexpr bool moves = op == ElementwiseOp::copy || op == ElementwiseOp::scale || op == ElementwiseOp::add ||
                                op == ElementwiseOp::multiply;
  static constexpr bool binary = op == ElementwiseOp::add || op == ElementwiseOp::multiply || op == ElementwiseOp::gate;
  static HWY_INLINE FloatVec apply(FloatVec a, FloatVec b, const Constants& c) {
    if constexpr (op == ElementwiseOp::add) return hn::Add(a, b);
    if constexpr (op == ElementwiseOp::multiply) return hn::Mul(a, b);
    if constexpr (op == ElementwiseOp::activate) return activate_vector<activation>(a);
    if constexpr (op == ElementwiseOp::gate) return hn::Mul(activate_vector<activation>(a), b);
    if constexpr (op == ElementwiseOp::scale) return hn::Mul(a, c.factor);
    if constexpr (op == ElementwiseOp::soft_cap) return hn::Mul(c.factor, hn::Tanh(FloatTag(), hn::Div(a, c.factor)));
    if constexpr (op == ElementwiseOp::xielu) return xielu_vector(a, c);
    return a;
  }
};

/// A row of elements of type T; void: of either type, asked at each access.
template <typename T>
struct Row {
  std::byte* data;
  DType dtype;

  bool is_f32() const { return std::is_void_v<T> ? dtype == DType::f32 : std::is_same_v<T, float>; }
  float* f32(int64_t i) const { return reinterpret_cast<float*>(data) + i; }
  bf16* half(int64_t i) const { return reinterpret_cast<bf16*>(data) + i; }
  Row row(int64_t index, int64_t stride) const {
    return {data + index * stride * static_cast<int64_t>(size_of(dtype)), dtype};
  }
  HWY_INLINE FloatVec load(int64_t i) const { return is_f32() ? load_floats(f32(i)) : load_floats(half(i)); }
  HWY_INLINE FloatVec load_end(int64_t i, size_t count) const {
    return is_f32() ? load_some(f32(i), count) : load_some(half(i), count);
  }
  HWY_INLINE void store(FloatVec v, int64_t i) const { is_f32() ? store_floats(v, f32(i)) : store_floats(v, half(i)); }
  HWY_INLINE void store_end(FloatVec v, int64_t i, size_t count) const {
    is_f32() ? store_some(v, f32(i), count) : store_some(v, half(i), count);
  }
  void pad(int64_t width, int64_t stride) const {
    is_f32() ? zero_padding(f32(0), width, stride) : zero_padding(half(0), width, stride);
  }
};

template <typename Op, typename First, typename Second, typename Output>
void elementwise_loop(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  const auto n = static_cast<int64_t>(float_lanes());
  const Constants constants(problem, args);
  const int64_t width = problem.width;
  const Row<First> all_first{const_cast<std::byte*>(args.first), problem.first};
  const Row<Second> all_second{const_cast<std::byte*>(args.second), problem.second};
  const Row<Output> all_output{args.output, problem.output};
  for (int64_t row = range.begin; row < range.end; ++row) {
    const Row<First> first = all_first.row(row, args.first_stride);
    const Row<Second> second = Op::binary && !problem.row_vector ? all_second.row(row, args.second_stride) : all_second;
    const Row<Output> output = all_output.row(row, args.output_stride);
    int64_t i = 0;
    for (; i + n <= width; i += n) {
      const auto a = first.load(i);
      if constexpr (Op::binary) {
        output.store(Op::apply(a, second.load(i), constants), i);
      } else {
        output.store(Op::apply(a, a, constants), i);
      }
    }
    if (i < width) {
      const auto rest = static_cast<size_t>(width - i);
      const auto a = first.load_end(i, rest);
      if constexpr (Op::binary) {
        output.store_end(Op::apply(a, second.load_end(i, rest), constants), i, rest);
      } else {
        output.store_end(Op::apply(a, a, constants), i, rest);
      }
    }
    if (args.pad_output) output.pad(width, args.output_stride);
  }
}

template <typename Op, typename First, typename Second>
void elementwise_to(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  problem.output == DType::f32 ? elementwise_loop<Op, First, Second, float>(problem, args, range)
                               : elementwise_loop<Op, First, Second, bf16>(problem, args, range);
}

template <typename Op, typename First>
void elementwise_second(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  if constexpr (Op::binary) {
    if (problem.second == DType::bf16) return elementwise_to<Op, First, bf16>(problem, args, range);
  }
  elementwise_to<Op, First, float>(problem, args, range);
}

template <typename Op>
void elementwise_rows(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  if constexpr (Op::moves) {
    problem.first == DType::f32 ? elementwise_second<Op, float>(problem, args, range)
                                : elementwise_second<Op, bf16>(problem, args, range);
  } else {
    elementwise_loop<Op, void, void, void>(problem, args, range);
  }
}

template <ElementwiseOp op>
void elementwise_activation(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  switch (problem.activation) {
    case Activation::silu: return elementwise_rows<Operation<op, Activation::silu>>(problem, args, range);
    case Activation::gelu_tanh: return elementwise_rows<Operation<op, Activation::gelu_tanh>>(problem, args, range);
    case Activation::gelu_erf: return elementwise_rows<Operation<op, Activation::gelu_erf>>(problem, args, range);
    case Activation::relu: return elementwise_rows<Operation<op, Activation::relu>>(problem, args, range);
    case Activation::relu_squared:
      return elementwise_rows<Operation<op, Activation::relu_squared>>(problem, args, range);
    case Activation::sigmoid: return elementwise_rows<Operation<op, Activation::sigmoid>>(problem, args, range);
    default: return elementwise_rows<Operation<op, Activation::none>>(problem, args, range);
  }
}

void run_elementwise(const Elementwise::Problem& problem, const Elementwise::Args& args, const KernelConfig&,
                     int64_t tile, std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  switch (problem.op) {
    case ElementwiseOp::copy: return elementwise_rows<Operation<ElementwiseOp::copy>>(problem, args, range);
    case ElementwiseOp::add: return elementwise_rows<Operation<ElementwiseOp::add>>(problem, args, range);
    case ElementwiseOp::multiply: return elementwise_rows<Operation<ElementwiseOp::multiply>>(problem, args, range);
    case ElementwiseOp::scale: return elementwise_rows<Operation<ElementwiseOp::scale>>(problem, args, range);
    case ElementwiseOp::soft_cap: return elementwise_rows<Operation<ElementwiseOp::soft_cap>>(problem, args, range);
    case ElementwiseOp::xielu: return elementwise_rows<Operation<ElementwiseOp::xielu>>(problem, args, range);
    case ElementwiseOp::activate: return elementwise_activation<ElementwiseOp::activate>(problem, args, range);
    case ElementwiseOp::gate: return elementwise_activation<ElementwiseOp::gate>(problem, args, range);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {

Kernel<Elementwise> elementwise_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"elementwise/hwy_baseline", "elementwise/hwy_avx2",
                                               "elementwise/hwy_avx3"};
  constexpr HighwayRuns<Elementwise> runs = INCIPIT_HIGHWAY_RUNS(run_elementwise);
  const auto accepts = [](const Elementwise::Problem& p) {
    return p.width > 0 && is_row_dtype(p.first) && is_row_dtype(p.second) && is_row_dtype(p.output) &&
           !is_gated(p.activation) && (p.op != ElementwiseOp::soft_cap || p.factor > 0);
  };
  const auto tiles = [](const Elementwise::Problem& p, const Elementwise::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, {no_scratch_needed<Elementwise>, tiles, runs[i]}};
}

}  // namespace incipit
#endif
