// What the launches of Linear's kernels have in common.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/linear_params.h"
#include "kernels/cuda/row_launch.h"
#include "kernels/families.h"

namespace incipit {

/// Codes of four bits that are widened to bf16 as they are multiplied.
inline bool has_four_bit_groups(const Linear::Problem& problem) {
  const WeightFormat& format = problem.format;
  const bool known = format == WeightFormat::i4(format.block_k).for_inputs(DType::bf16) ||
                     format == WeightFormat::u4(format.block_k).for_inputs(DType::bf16);
  return known && (format.block_k == 32 || format.block_k == 64 || format.block_k == 128);
}

/// What all of them together compute, and no other problem.
inline bool is_cuda_linear(const Linear::Problem& problem) {
  const WeightFormat& format = problem.format;
  const bool known = format == WeightFormat::f32 || format == WeightFormat::bf16 || format == WeightFormat::f16 ||
                     format == WeightFormat::i8 || has_four_bit_groups(problem);
  const bool quantizes = problem.quantizes() && is_float_row(problem.input);
  return known && (problem.input == format.activation || quantizes) && is_float_row(problem.output) && problem.n > 0 &&
         problem.k > 0 && (!is_gated(problem.activation) || problem.n % 2 == 0) && problem.fits_kv();
}

inline std::string linear_defines(const Linear::Problem& problem) {
  const KvOutputs& kv = problem.kv;
  const std::string pages =
      kv.any() ? define("CACHE", name_of(kv.cache)) + define("INTERLEAVED", kv.interleaved ? 1 : 0) : std::string();
  const bool groups = has_four_bit_groups(problem);
  const std::string four_bits =
      groups ? define("GROUP", problem.format.block_k) + define("ZERO_POINTS", problem.format.zero_points ? 1 : 0)
             : std::string();
  const DType weight = groups ? problem.format.activation : problem.format.codes;  // as what they are multiplied
  return four_bits + define("INPUT", name_of(problem.input)) + define("WEIGHT", name_of(weight)) +
         define("OUTPUT", name_of(problem.output)) + define("BIAS", problem.bias ? 1 : 0) +
         define("RESIDUAL", problem.residual ? 1 : 0) + define("ACTIVATION", name_of(problem.activation)) + pages;
}

/// Rows of a plan's buffers and pages are aligned for its kernels' vectors.
inline LinearPages linear_pages(const Linear::Problem& problem, const Linear::Args& args, const LaunchCounts& counts) {
  const KvOutputs& kv = problem.kv;
  if (!kv.any()) return {};
  const KvGeometry geometry = kv.geometry();
  const auto width = static_cast<int32_t>(kv.width());
  INCIPIT_ASSERT(aligned_rows(args.output, args.output_stride, size_of(problem.output)) &&
                 aligned_rows(args.kv.cache.pool, args.kv.cache.page_bytes, 1) &&
                 args.kv.cache.layer_offset % 16 == 0 &&
                 (kv.rotary_pairs == 0 || aligned_rows(args.kv.table, args.kv.table_stride, sizeof(float))));
  return {counts.counts,
          args.kv.sequences,
          args.kv.spans,
          args.kv.cache,
          args.kv.table,
          args.kv.table_stride,
          static_cast<int32_t>(geometry.head_bytes()),
          static_cast<int32_t>(geometry.half_bytes()),
          kv.head_dim,
          kv.page_tokens,
          kv.rotary_pairs,
          problem.n - 2 * width,
          problem.n - width,
          ((1U << 31) + static_cast<uint32_t>(kv.head_dim / 16) - 1) / static_cast<uint32_t>(kv.head_dim / 16)};
}

inline LinearParams linear_params(const Linear::Problem& problem, const Linear::Args& args,
                                  const LaunchCounts& counts) {
  const PackedShape shape = packed_shape(k_major8, problem.weight());
  const int32_t width = problem.output_width();
  const bool vectors = aligned_rows(args.output, args.output_stride, size_of(problem.output)) &&
                       (!problem.residual || aligned_rows(args.residual, args.residual_stride, sizeof(float)));
  return {counts,
          args.input,
          args.input_stride,
          args.input_scales,
          args.weight.codes,
          shape.padded_k,
          problem.k,
          {args.weight.f32_scales(), args.bias, args.residual, args.residual_stride, args.output, args.output_stride,
           static_cast<int32_t>(shape.panels), width, padded_width(width, args.output_stride, args.pad_output), vectors,
           linear_pages(problem, args, counts)}};
}

inline WeightGroups weight_groups(const Linear::Problem& problem, const PackedWeight& weight) {
  return {weight.scales, reinterpret_cast<const unsigned char*>(weight.zero_points),
          static_cast<int32_t>(problem.format.blocks_of_k(problem.k))};
}

/// Of a kernel that reads rows of k as they are packed.
inline Kernel<Linear> cuda_linear(std::string_view name, bool (*accepts)(const Linear::Problem&),
                                  const CudaEntry<Linear>& entry, std::span<const KernelConfig> configs) {
  Kernel<Linear> kernel = cuda_kernel<Linear>(name, any_cuda, accepts, entry, configs);
  kernel.abi = 2;
  kernel.layout = &k_major8;
  return kernel;
}

constexpr uint32_t blocks_of(int64_t items, int32_t a_block) {
  return static_cast<uint32_t>((items + a_block - 1) / a_block);
}

}  // namespace incipit
