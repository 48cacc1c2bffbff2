// RMS norm and per-row quantisation.
#include <cmath>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

/// Writes codes of one row, whose values are in f32 or bf16, and returns its scale.
template <typename T>
HWY_INLINE float quantize_row(const T* from, int64_t width, int8_t* to) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  auto most0 = hn::Zero(d), most1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * n <= width; i += 2 * n) {
    most0 = hn::Max(hn::Abs(load_floats(from + i)), most0);  // this order drops a NaN
    most1 = hn::Max(hn::Abs(load_floats(from + i + n)), most1);
  }
  for (; i < width; i += n) {
    const auto rest = static_cast<size_t>(std::min(n, width - i));
    most0 = hn::Max(hn::Abs(load_some(from + i, rest)), most0);
  }
  const float quotient = hn::GetLane(hn::MaxOfLanes(d, hn::Max(most0, most1))) / 127.0f;
  const float scale = quotient == 0 ? 1.0f : quotient;
  const auto divisor = hn::Set(d, scale);
  const auto limit = hn::Set(d, 127.0f);
  const ByteTag bytes;
  for (i = 0; i < width; i += n) {
    const bool whole = i + n <= width;
    const auto x = whole ? load_floats(from + i) : load_some(from + i, static_cast<size_t>(width - i));
    auto y = hn::Div(x, divisor);
    y = hn::IfThenElseZero(hn::Eq(y, y), hn::Max(hn::Min(y, limit), hn::Neg(limit)));
    const auto codes = hn::DemoteTo(bytes, hn::NearestInt(y));
    if (whole) {
      hn::StoreU(codes, bytes, to + i);
    } else {
      alignas(64) int8_t buffer[HWY_MAX_BYTES / sizeof(float)];
      hn::StoreU(codes, bytes, buffer);
      std::memcpy(to + i, buffer, static_cast<size_t>(width - i));
    }
  }
  return scale;
}

template <typename T>
void quantize_rows_of(const QuantizeRows::Problem& problem, const QuantizeRows::Args& args, RowRange range) {
  const auto* input = reinterpret_cast<const T*>(args.input);
  for (int64_t row = range.begin; row < range.end; ++row) {
    int8_t* output = args.output + row * args.output_stride;
    args.scales[row] = quantize_row(input + row * args.input_stride, problem.width, output);
    if (args.pad_output) zero_padding(output, problem.width, args.output_stride);
  }
}

void run_quantize_rows(const QuantizeRows::Problem& problem, const QuantizeRows::Args& args, const KernelConfig&,
                       int64_t tile, std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  problem.input == DType::f32 ? quantize_rows_of<float>(problem, args, range)
                              : quantize_rows_of<bf16>(problem, args, range);
}

/// The sum x + addend (stored when there is one), and Σ s² over the row.
template <bool add>
HWY_INLINE float sum_squares(const float* x, const float* addend, float* sum, int64_t width) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  FloatVec squares[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * n <= width; i += 4 * n) {
    for (int j = 0; j < 4; ++j) {
      auto s = load_floats(x + i + j * n);
      if constexpr (add) {
        s = hn::Add(s, load_floats(addend + i + j * n));
        store_floats(s, sum + i + j * n);
      }
      squares[j] = hn::MulAdd(s, s, squares[j]);
    }
  }
  for (; i < width; i += n) {
    const auto rest = static_cast<size_t>(std::min(n, width - i));
    auto s = load_some(x + i, rest);
    if constexpr (add) {
      s = hn::Add(s, load_some(addend + i, rest));
      store_some(s, sum + i, rest);
    }
    squares[0] = hn::MulAdd(s, s, squares[0]);
  }
  const auto total = hn::Add(hn::Add(squares[0], squares[1]), hn::Add(squares[2], squares[3]));
  return hn::GetLane(hn::SumOfLanes(d, total));
}

template <bool gain, typename T>
HWY_INLINE void scale_row(const float* s, float factor, const float* gains, int64_t width, T* to) {
  const auto n = static_cast<int64_t>(float_lanes());
  const auto f = hn::Set(FloatTag(), factor);
  int64_t i = 0;
  for (; i + n <= width; i += n) {
    auto y = hn::Mul(load_floats(s + i), f);
    if constexpr (gain) y = hn::Mul(y, load_floats(gains + i));
    store_floats(y, to + i);
  }
  if (i < width) {
    const auto rest = static_cast<size_t>(width - i);
    auto y = hn::Mul(load_some(s + i, rest), f);
    if constexpr (gain) y = hn::Mul(y, load_some(gains + i, rest));
    store_some(y, to + i, rest);
  }
}

template <typename T>
HWY_INLINE void scale_row(const RmsNorm::Problem& problem, const float* s, float factor, const float* gains, T* to) {
  problem.gain ? scale_row<true>(s, factor, gains, problem.width, to)
               : scale_row<false>(s, factor, gains, problem.width, to);
}

void run_rms_norm(const RmsNorm::Problem& problem, const RmsNorm::Args& args, const KernelConfig&, int64_t tile,
                  std::byte* scratch) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  const int64_t width = problem.width;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* s = args.input + row * args.input_stride;
    float squares;
    if (problem.add) {
      float* sum = args.sum + row * args.sum_stride;
      squares = sum_squares<true>(s, args.addend + row * args.addend_stride, sum, width);
      if (args.pad_output) zero_padding(sum, width, args.sum_stride);
      s = sum;
    } else {
      squares = sum_squares<false>(s, nullptr, nullptr, width);
    }
    const double mean = static_cast<double>(squares) / static_cast<double>(width);
    const auto factor = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(problem.epsilon)));
    if (problem.output == DType::i8) {
      auto* normed = reinterpret_cast<float*>(scratch);
      scale_row(problem, s, factor, args.gain, normed);
      auto* output = reinterpret_cast<int8_t*>(args.output) + row * args.output_stride;
      args.output_scales[row] = quantize_row(normed, width, output);
      if (args.pad_output) zero_padding(output, width, args.output_stride);
    } else if (problem.output == DType::bf16) {
      auto* output = reinterpret_cast<bf16*>(args.output) + row * args.output_stride;
      scale_row(problem, s, factor, args.gain, output);
      if (args.pad_output) zero_padding(output, width, args.output_stride);
    } else {
      auto* output = reinterpret_cast<float*>(args.output) + row * args.output_stride;
      scale_row(problem, s, factor, args.gain, output);
      if (args.pad_output) zero_padding(output, width, args.output_stride);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {

Kernel<RmsNorm> rms_norm_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"rms_norm/hwy_baseline", "rms_norm/hwy_avx2", "rms_norm/hwy_avx3"};
  constexpr HighwayRuns<RmsNorm> runs = INCIPIT_HIGHWAY_RUNS(run_rms_norm);
  const auto accepts = [](const RmsNorm::Problem& p) {
    return p.width > 0 && (is_row_dtype(p.output) || p.output == DType::i8);
  };
  const auto scratch = [](const RmsNorm::Problem& p, const KernelConfig&, int32_t) {
    return p.output == DType::i8 ? static_cast<size_t>(p.width) * sizeof(float) : size_t{0};
  };
  const auto tiles = [](const RmsNorm::Problem& p, const RmsNorm::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, scratch, tiles, runs[i]};
}

Kernel<QuantizeRows> quantize_rows_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"quantize_rows/hwy_baseline", "quantize_rows/hwy_avx2",
                                               "quantize_rows/hwy_avx3"};
  constexpr HighwayRuns<QuantizeRows> runs = INCIPIT_HIGHWAY_RUNS(run_quantize_rows);
  const auto accepts = [](const QuantizeRows::Problem& p) { return p.width > 0 && is_row_dtype(p.input); };
  const auto tiles = [](const QuantizeRows::Problem& p, const QuantizeRows::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, no_scratch_needed<QuantizeRows>, tiles, runs[i]};
}

}  // namespace incipit
#endif
