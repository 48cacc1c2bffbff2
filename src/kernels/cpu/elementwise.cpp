// Columnwise work on rows. The loops are compiled for every operation, activation and pair of dtypes that decoders use.
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

template <typename Op, typename First, typename Second, typename Output>
void elementwise_rows(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  const auto n = static_cast<int64_t>(float_lanes());
  const auto factor = hn::Set(FloatTag(), problem.factor);
  const int64_t width = problem.width;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const auto* first = reinterpret_cast<const First*>(args.first) + row * args.first_stride;
    const Second* second = nullptr;
    if constexpr (Op::binary) {
      second = reinterpret_cast<const Second*>(args.second) + (problem.row_vector ? 0 : row * args.second_stride);
    }
    auto* output = reinterpret_cast<Output*>(args.output) + row * args.output_stride;
    int64_t i = 0;
    for (; i + n <= width; i += n) {
      const auto a = load_floats(first + i);
      if constexpr (Op::binary) {
        store_floats(Op::apply(a, load_floats(second + i), factor), output + i);
      } else {
        store_floats(Op::apply(a, a, factor), output + i);
      }
    }
    if (i < width) {
      const auto rest = static_cast<size_t>(width - i);
      const auto a = load_some(first + i, rest);
      if constexpr (Op::binary) {
        store_some(Op::apply(a, load_some(second + i, rest), factor), output + i, rest);
      } else {
        store_some(Op::apply(a, a, factor), output + i, rest);
      }
    }
    if (args.pad_output) zero_padding(output, width, args.output_stride);
  }
}

template <typename Op, typename First, typename Second>
void elementwise_to(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  problem.output == DType::f32 ? elementwise_rows<Op, First, Second, float>(problem, args, range)
                               : elementwise_rows<Op, First, Second, bf16>(problem, args, range);
}

template <typename Op, typename First>
void elementwise_second(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  if constexpr (Op::binary) {
    if (problem.second == DType::bf16) return elementwise_to<Op, First, bf16>(problem, args, range);
  }
  elementwise_to<Op, First, float>(problem, args, range);
}

template <typename Op>
void elementwise_first(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  problem.first == DType::f32 ? elementwise_second<Op, float>(problem, args, range)
                              : elementwise_second<Op, bf16>(problem, args, range);
}

template <ElementwiseOp op>
void elementwise_activation(const Elementwise::Problem& problem, const Elementwise::Args& args, RowRange range) {
  switch (problem.activation) {
    case Activation::silu: return elementwise_first<Operation<op, Activation::silu>>(problem, args, range);
    case Activation::gelu_tanh: return elementwise_first<Operation<op, Activation::gelu_tanh>>(problem, args, range);
    case Activation::gelu_erf: return elementwise_first<Operation<op, Activation::gelu_erf>>(problem, args, range);
    case Activation::relu: return elementwise_first<Operation<op, Activation::relu>>(problem, args, range);
    default: return elementwise_first<Operation<op, Activation::none>>(problem, args, range);
  }
}

void run_elementwise(const Elementwise::Problem& problem, const Elementwise::Args& args, const KernelConfig&,
                     int64_t tile, std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  switch (problem.op) {
    case ElementwiseOp::copy: return elementwise_first<Operation<ElementwiseOp::copy>>(problem, args, range);
    case ElementwiseOp::add: return elementwise_first<Operation<ElementwiseOp::add>>(problem, args, range);
    case ElementwiseOp::multiply: return elementwise_first<Operation<ElementwiseOp::multiply>>(problem, args, range);
    case ElementwiseOp::scale: return elementwise_first<Operation<ElementwiseOp::scale>>(problem, args, range);
    case ElementwiseOp::soft_cap: return elementwise_first<Operation<ElementwiseOp::soft_cap>>(problem, args, range);
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
