// What the descriptions of CUDA's attention kernels have in common.
#pragma once

#include <algorithm>
#include <string>

#include "kernels/cuda/attention_params.h"
#include "kernels/cuda/describe.h"
#include "kernels/families.h"

namespace incipit {

inline bool accepts_cuda_attention(const Attention::Problem& problem) {
  const auto is_row = [](DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; };
  const PageFormat pages = page_format(Backend::cuda);
  return problem.kv_heads > 0 && problem.heads > 0 && problem.heads % problem.kv_heads == 0 && problem.head_dim > 0 &&
         problem.head_dim % 2 == 0 && problem.head_dim <= 256 && problem.pages == pages.layout &&
         problem.page_tokens == pages.tokens && problem.window >= 0 && problem.scale > 0 && problem.rotary_pairs >= 0 &&
         2 * int64_t{problem.rotary_pairs} <= problem.head_dim && is_row(problem.query) && is_row(problem.output) &&
         (is_row(problem.cache) || problem.cache == DType::f16);
}

inline std::string define_attention_types(const Attention::Problem& problem) {
  return define("QUERY", name_of(problem.query)) + define("CACHE", name_of(problem.cache)) +
         define("OUTPUT", name_of(problem.output));
}

inline AttentionParams attention_params(const Attention::Problem& problem, const Attention::Args& args,
                                        const LaunchCounts& counts) {
  AttentionParams params{};
  params.counts = counts;
  params.spans = args.spans;
  params.cache = args.cache;
  params.positions = args.positions;
  params.query = args.query;
  params.query_stride = args.query_stride;
  params.output = args.output;
  params.output_stride = args.output_stride;
  params.table = args.table;
  params.table_stride = args.table_stride;
  params.slopes = problem.slopes ? args.slopes : nullptr;
  params.sinks = problem.sinks ? args.sinks : nullptr;
  params.workspace = args.workspace;
  params.workspace_bytes = args.workspace == nullptr ? 0 : args.workspace_bytes;
  params.sequences = args.sequences;
  params.heads = problem.heads;
  params.kv_heads = problem.kv_heads;
  params.head_dim = problem.head_dim;
  params.window = problem.window;
  params.padded_width = padded_width(problem.heads * problem.head_dim, args.output_stride, args.pad_output);
  params.rotary_pairs = problem.rotary_pairs;
  params.scale = problem.scale;
  params.soft_cap = problem.soft_cap;
  params.interleaved = problem.interleaved;
  params.over_rows = problem.over_rows;
  return params;
}

/// Of queries: 0 is none, 2 interleaved.
inline std::string define_rotary(const Attention::Problem& problem) {
  return define("ROTARY", problem.rotary_pairs == 0 ? 0 : problem.interleaved ? 2 : 1);
}

/// Of the kernels that compute it by matrix products (attention_page.cuh).
inline std::string defines_of_attention_products(const Attention::Problem& problem, const KernelConfig&) {
  return define_attention_types(problem) + define("HEAD_DIM", problem.head_dim) +
         define("SOFT_CAP", problem.soft_cap > 0 ? 1 : 0) + define("SLOPES", problem.slopes ? 1 : 0);
}

/// With what they may load and store together.
inline AttentionParams aligned_attention_params(const Attention::Problem& problem, const Attention::Args& args,
                                                const LaunchCounts& counts) {
  const auto is_aligned = [](const void* address, DType dtype, int64_t stride, size_t bytes) {
    return (reinterpret_cast<uintptr_t>(address) | static_cast<uintptr_t>(stride) * size_of(dtype)) % bytes == 0;
  };
  AttentionParams params = attention_params(problem, args, counts);
  params.query_in_chunks = is_aligned(args.query, problem.query, args.query_stride, 16) &&
                           (problem.rotary_pairs == 0 || (problem.rotary_pairs % (problem.interleaved ? 4 : 8) == 0 &&
                                                          is_aligned(args.table, DType::f32, args.table_stride, 16)));
  params.output_in_pairs = is_aligned(args.output, problem.output, args.output_stride, 2 * size_of(problem.output));
  params.output_in_chunks = is_aligned(args.output, problem.output, args.output_stride, 16);
  return params;
}

}  // namespace incipit
