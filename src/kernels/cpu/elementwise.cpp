// Columnwise work on rows. The loops are compiled for every operation and activation; what the dtypes are is asked at
// each vector, as a loop for every three of them takes the compiler half a minute and gains nothing that could be
// measured.
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

/// One operation on vectors; `binary` ones use b.
template <ElementwiseOp op, Activation activation = Activation::none>
struct Operation {
  static constexpr bool binary = op == ElementwiseOp::add || op == ElementwiseOp::multiply || op == ElementwiseOp::gate;
  static HWY_INLINE FloatVec apply(FloatVec a, FloatVec b, FloatVec factor) {
    if constexpr (op == ElementwiseOp::add) return hn::Add(a, b);
    if constexpr (op == ElementwiseOp::multiply) return hn::Mul(a, b);
    if constexpr (op == ElementwiseOp::activate) return activate_vector<activation>(a);
    if constexpr (op == ElementwiseOp::gate) return hn::Mul(activate_vector<activation>(a), b);
    if constexpr (op == ElementwiseOp::scale) return hn::Mul(a, factor);
    if constexpr (op == ElementwiseOp::soft_cap) return hn::Mul(factor, hn::Tanh(FloatTag(), hn::Div(a, factor)));
    return a;
  }
};

HWY_INLINE FloatVec load_row(const std::byte* row, DType dtype, int64_t column) {
  return dtype == DType::f32 ? load_floats(reinterpret_cast<const float*>(row) + column)
                             : load_floats(reinterpret_cast<const bf16*>(row) + column);
}
HWY_INLINE FloatVec load_row_end(const std::byte* row, DType dtype, int64_t column, size_t count) {
  return dtype == DType::f32 ? load_some(reinterpret_cast<const float*>(row) + column, count)
                             : load_some(reinterpret_cast<const bf16*>(row) + column, count);
}

template <typename Op>
void elementwise_rows(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  const auto n = static_cast<int64_t>(float_lanes());
  const auto factor = hn::Set(FloatTag(), problem.factor);
  const int64_t width = problem.width;
  const auto row_of = [](auto* data, DType dtype, int64_t stride, int64_t row) {
    return data + row * stride * static_cast<int64_t>(size_of(dtype));
  };
  for (int64_t row = range.begin; row < range.end; ++row) {
    const std::byte* first = row_of(args.first, problem.first, args.first_stride, row);
    const std::byte* second = first;
    if (Op::binary) second = row_of(args.second, problem.second, problem.row_vector ? 0 : args.second_stride, row);
    std::byte* output = row_of(args.output, problem.output, args.output_stride, row);
    int64_t i = 0;
    for (; i + n <= width; i += n) {
      const auto a = load_row(first, problem.first, i);
      const auto result = Op::apply(a, Op::binary ? load_row(second, problem.second, i) : a, factor);
      problem.output == DType::f32 ? store_floats(result, reinterpret_cast<float*>(output) + i)
                                   : store_floats(result, reinterpret_cast<bf16*>(output) + i);
    }
    if (i < width) {
      const auto rest = static_cast<size_t>(width - i);
      const auto a = load_row_end(first, problem.first, i, rest);
      const auto result = Op::apply(a, Op::binary ? load_row_end(second, problem.second, i, rest) : a, factor);
      problem.output == DType::f32 ? store_some(result, reinterpret_cast<float*>(output) + i, rest)
                                   : store_some(result, reinterpret_cast<bf16*>(output) + i, rest);
    }
    if (!args.pad_output) continue;
    problem.output == DType::f32 ? zero_padding(reinterpret_cast<float*>(output), width, args.output_stride)
                                 : zero_padding(reinterpret_cast<bf16*>(output), width, args.output_stride);
  }
}

template <ElementwiseOp op>
void elementwise_activation(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  switch (problem.activation) {
    case Activation::silu: return elementwise_rows<Operation<op, Activation::silu>>(problem, args, range);
    case Activation::gelu_tanh: return elementwise_rows<Operation<op, Activation::gelu_tanh>>(problem, args, range);
    case Activation::gelu_erf: return elementwise_rows<Operation<op, Activation::gelu_erf>>(problem, args, range);
    case Activation::relu: return elementwise_rows<Operation<op, Activation::relu>>(problem, args, range);
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
  return {names[i], 1, highway_needs(target), accepts, plain_config, no_scratch_needed<Elementwise>, tiles, runs[i]};
}

}  // namespace incipit
#endif
