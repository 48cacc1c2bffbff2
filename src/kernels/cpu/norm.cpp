// RMS norm, layer norm and per-row quantisation.
#include <cmath>

#include "base/codes.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

template <typename T>
void quantize_rows_of(const QuantizeRows::Problem& problem, const QuantizeRows::Args& args, RowRange range) {
  const auto* input = reinterpret_cast<const T*>(args.input);
  for (int64_t row = range.begin; row < range.end; ++row) {
    int8_t* output = args.output + row * args.output_stride;
    const int64_t width = problem.group_width();
    for (int64_t group = 0; group < problem.groups; ++group) {
      args.scales[row * args.scale_stride + group] =
          quantize_row(input + row * args.input_stride + group * width, width, output + group * width);
    }
    if (args.pad_output) zero_padding(output, problem.width, args.output_stride);
  }
}

void run_quantize_rows(const QuantizeRows::Problem& problem, const QuantizeRows::Args& args, const KernelConfig&,
                       int64_t tile, std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  problem.input == DType::f32 ? quantize_rows_of<float>(problem, args, range)
                              : quantize_rows_of<bf16>(problem, args, range);
}

/// Σ s² of a row; where it is asked for, the largest |s · gain| too.
struct RowMeasure {
  float squares, largest;
};

/// The sum s = x + addend (stored when there is one), measured. `gains` may be null.
template <bool add, bool largest>
HWY_INLINE RowMeasure measure_row(const float* x, const float* addend, float* sum, const float* gains, int64_t width) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  FloatVec squares[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  FloatVec most[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  const auto compare = [&](FloatVec s, int64_t at, FloatVec so_far) HWY_ATTR {
    if (gains != nullptr) s = hn::Mul(s, load_at(gains, at, width));
    return hn::Max(hn::Abs(s), so_far);  // this order drops a NaN
  };
  int64_t i = 0;
  for (; i + 4 * n <= width; i += 4 * n) {
    for (int j = 0; j < 4; ++j) {
      auto s = load_floats(x + i + j * n);
      if constexpr (add) {
        s = hn::Add(s, load_floats(addend + i + j * n));
        store_floats(s, sum + i + j * n);
      }
      squares[j] = hn::MulAdd(s, s, squares[j]);
      if constexpr (largest) most[j] = compare(s, i + j * n, most[j]);
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
    if constexpr (largest) most[0] = compare(s, i, most[0]);
  }
  const auto total = hn::Add(hn::Add(squares[0], squares[1]), hn::Add(squares[2], squares[3]));
  const auto all = hn::Max(hn::Max(most[0], most[1]), hn::Max(most[2], most[3]));
  return {hn::GetLane(hn::SumOfLanes(d, total)), largest ? hn::GetLane(hn::MaxOfLanes(d, all)) : 0};
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
HWY_INLINE void scale_row(const float* s, float factor, const float* gains, int64_t width, T* to, bool gain) {
  gain ? scale_row<true>(s, factor, gains, width, to) : scale_row<false>(s, factor, gains, width, to);
}

HWY_INLINE float norm_factor(float squares, int64_t width, float epsilon) {
  const double mean = static_cast<double>(squares) / static_cast<double>(width);
  return static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon)));
}

template <typename T>
void rms_norm_row(const RmsNorm::Problem& problem, const RmsNorm::Args& args, int64_t row, const float* s,
                  float squares) {
  auto* output = reinterpret_cast<T*>(args.output) + row * args.output_stride;
  const int64_t width = problem.group_width();
  for (int64_t group = 0; group < problem.groups; ++group) {
    const float* from = s + group * width;
    if (group > 0) squares = measure_row<false, false>(from, nullptr, nullptr, nullptr, width).squares;
    scale_row(from, norm_factor(squares, width, problem.epsilon), args.gain, width, output + group * width,
              problem.gain);
  }
  if (args.pad_output) zero_padding(output, problem.width, args.output_stride);
}

/// Codes of a row's s · factor (· gain): what is written is s · gain times a number, which factor and scale make.
HWY_INLINE float quantize_normed_row(const float* s, const RowMeasure& measure, float factor, const float* gains,
                                     int64_t width, int8_t* to) {
  const float largest = measure.largest * factor;
  const float scale = code_scale(largest > 0 ? largest : 0.0f);  // a NaN's is that of zeros
  const auto multiplier = hn::Set(FloatTag(), factor / scale);
  const auto n = static_cast<int64_t>(float_lanes());
  for (int64_t i = 0; i < width; i += n) {
    auto y = hn::Mul(load_at(s, i, width), multiplier);
    if (gains != nullptr) y = hn::Mul(y, load_at(gains, i, width));
    store_codes(y, width - i, to + i);
  }
  return scale;
}

/// One row; `codes`: as i8.
template <bool codes>
HWY_INLINE void run_rms_norm_row(const RmsNorm::Problem& problem, const RmsNorm::Args& args, int64_t row) {
  const int64_t width = problem.width;
  const float* gains = problem.gain ? args.gain : nullptr;
  const float* s = args.input + row * args.input_stride;
  RowMeasure measure;
  if (problem.add) {
    float* sum = args.sum + row * args.sum_stride;
    measure = measure_row<true, codes>(s, args.addend + row * args.addend_stride, sum, gains, width);
    if (args.pad_output) zero_padding(sum, width, args.sum_stride);
    s = sum;
  } else {
    measure = measure_row<false, codes>(s, nullptr, nullptr, gains, problem.group_width());
  }
  if constexpr (codes) {
    auto* output = reinterpret_cast<int8_t*>(args.output) + row * args.output_stride;
    const float factor = norm_factor(measure.squares, width, problem.epsilon);
    args.output_scales[row] = quantize_normed_row(s, measure, factor, gains, width, output);
    if (args.pad_output) zero_padding(output, width, args.output_stride);
  } else if (problem.output == DType::bf16) {
    rms_norm_row<bf16>(problem, args, row, s, measure.squares);
  } else {
    rms_norm_row<float>(problem, args, row, s, measure.squares);
  }
}

void run_rms_norm(const RmsNorm::Problem& problem, const RmsNorm::Args& args, const KernelConfig&, int64_t tile,
                  std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  for (int64_t row = range.begin; row < range.end; ++row) {
    problem.output == DType::i8 ? run_rms_norm_row<true>(problem, args, row)
                                : run_rms_norm_row<false>(problem, args, row);
  }
}

/// Σ x, or Σ (x − mean)².
template <bool squared>
HWY_INLINE float sum_deviations(const float* x, float mean, int64_t width) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  const auto m = hn::Set(d, mean);
  FloatVec sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  const auto add = [&](FloatVec v, FloatVec sum) HWY_ATTR {
    if constexpr (!squared) return hn::Add(v, sum);
    const auto deviation = hn::Sub(v, m);
    return hn::MulAdd(deviation, deviation, sum);
  };
  int64_t i = 0;
  for (; i + 4 * n <= width; i += 4 * n) {
    for (int j = 0; j < 4; ++j) sums[j] = add(load_floats(x + i + j * n), sums[j]);
  }
  for (; i + n <= width; i += n) sums[0] = add(load_floats(x + i), sums[0]);
  float rest = 0;
  for (; i < width; ++i) rest += squared ? (x[i] - mean) * (x[i] - mean) : x[i];
  const auto total = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(d, total)) + rest;
}

/// `gains` and `biases` are those of the row's, or of its group's.
template <bool gain, bool bias, typename T>
HWY_INLINE void center_row(const float* gains, const float* biases, const float* x, float mean, float factor,
                           int64_t width, T* to) {
  const auto n = static_cast<int64_t>(float_lanes());
  const auto m = hn::Set(FloatTag(), mean);
  const auto f = hn::Set(FloatTag(), factor);
  int64_t i = 0;
  for (; i + n <= width; i += n) {
    auto y = hn::Mul(hn::Sub(load_floats(x + i), m), f);
    if constexpr (gain) y = hn::Mul(y, load_floats(gains + i));
    if constexpr (bias) y = hn::Add(y, load_floats(biases + i));
    store_floats(y, to + i);
  }
  if (i < width) {
    const auto rest = static_cast<size_t>(width - i);
    auto y = hn::Mul(hn::Sub(load_some(x + i, rest), m), f);
    if constexpr (gain) y = hn::Mul(y, load_some(gains + i, rest));
    if constexpr (bias) y = hn::Add(y, load_some(biases + i, rest));
    store_some(y, to + i, rest);
  }
}

template <typename T>
HWY_INLINE void layer_norm_row(const LayerNorm::Problem& problem, const LayerNorm::Args& args, int64_t row, T* to) {
  const int64_t width = problem.group_width();
  for (int64_t first = 0; first < problem.width; first += width) {
    const float* x = args.input + row * args.input_stride + first;
    const float* gains = problem.gain ? args.gain + first : nullptr;
    const float* biases = problem.bias ? args.bias + first : nullptr;
    const double sum = sum_deviations<false>(x, 0, width);
    const auto mean = static_cast<float>(sum / static_cast<double>(width));
    const float factor = norm_factor(sum_deviations<true>(x, mean, width), width, problem.epsilon);
    if (problem.gain) {
      problem.bias ? center_row<true, true>(gains, biases, x, mean, factor, width, to + first)
                   : center_row<true, false>(gains, biases, x, mean, factor, width, to + first);
    } else {
      problem.bias ? center_row<false, true>(gains, biases, x, mean, factor, width, to + first)
                   : center_row<false, false>(gains, biases, x, mean, factor, width, to + first);
    }
  }
}

template <typename T>
void layer_norm_to(const LayerNorm::Problem& problem, const LayerNorm::Args& args, int64_t row) {
  auto* output = reinterpret_cast<T*>(args.output) + row * args.output_stride;
  layer_norm_row(problem, args, row, output);
  if (args.pad_output) zero_padding(output, problem.width, args.output_stride);
}

void run_layer_norm(const LayerNorm::Problem& problem, const LayerNorm::Args& args, const KernelConfig&, int64_t tile,
                    std::byte* scratch) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  for (int64_t row = range.begin; row < range.end; ++row) {
    if (problem.output == DType::i8) {
      auto* normed = reinterpret_cast<float*>(scratch);
      layer_norm_row(problem, args, row, normed);
      auto* output = reinterpret_cast<int8_t*>(args.output) + row * args.output_stride;
      args.output_scales[row] = quantize_row(normed, problem.width, output);
      if (args.pad_output) zero_padding(output, problem.width, args.output_stride);
    } else if (problem.output == DType::bf16) {
      layer_norm_to<bf16>(problem, args, row);
    } else {
      layer_norm_to<float>(problem, args, row);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {

namespace {

/// `groups` equal column groups make up the width.
constexpr bool is_grouping(int32_t groups, int32_t width) { return groups > 0 && width > 0 && width % groups == 0; }

/// A row of f32 before it is quantised.
size_t layer_norm_scratch(const LayerNorm::Problem& p, const KernelConfig&, int32_t) {
  return p.output == DType::i8 ? static_cast<size_t>(p.width) * sizeof(float) : size_t{0};
}

template <typename Family>
int64_t norm_tiles(const typename Family::Problem& p, const typename Family::Args& args, const KernelConfig&) {
  return row_tiles(p.width, args.rows);
}

}  // namespace

Kernel<RmsNorm> rms_norm_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"rms_norm/hwy_baseline", "rms_norm/hwy_avx2", "rms_norm/hwy_avx3"};
  constexpr HighwayRuns<RmsNorm> runs = INCIPIT_HIGHWAY_RUNS(run_rms_norm);
  const auto accepts = [](const RmsNorm::Problem& p) {
    return is_grouping(p.groups, p.width) && (is_row_dtype(p.output) || p.output == DType::i8) &&
           (p.groups == 1 || (!p.add && p.output != DType::i8));
  };
  const auto i = static_cast<size_t>(target);
  return {names[i],
          3,
          highway_needs(target),
          accepts,
          plain_config,
          {no_scratch_needed<RmsNorm>, norm_tiles<RmsNorm>, runs[i]}};
}

Kernel<LayerNorm> layer_norm_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"layer_norm/hwy_baseline", "layer_norm/hwy_avx2", "layer_norm/hwy_avx3"};
  constexpr HighwayRuns<LayerNorm> runs = INCIPIT_HIGHWAY_RUNS(run_layer_norm);
  const auto accepts = [](const LayerNorm::Problem& p) {
    return is_grouping(p.groups, p.width) && (is_row_dtype(p.output) || (p.output == DType::i8 && p.groups == 1));
  };
  const auto i = static_cast<size_t>(target);
  return {
      names[i], 1, highway_needs(target), accepts, plain_config, {layer_norm_scratch, norm_tiles<LayerNorm>, runs[i]}};
}

Kernel<QuantizeRows> quantize_rows_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"quantize_rows/hwy_baseline", "quantize_rows/hwy_avx2",
                                               "quantize_rows/hwy_avx3"};
  constexpr HighwayRuns<QuantizeRows> runs = INCIPIT_HIGHWAY_RUNS(run_quantize_rows);
  const auto accepts = [](const QuantizeRows::Problem& p) {
    return is_grouping(p.groups, p.width) && is_row_dtype(p.input);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i],
          2,
          highway_needs(target),
          accepts,
          plain_config,
          {no_scratch_needed<QuantizeRows>, norm_tiles<QuantizeRows>, runs[i]}};
}

}  // namespace incipit
#endif
