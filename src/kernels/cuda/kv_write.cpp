#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/kv_write_params.h"
#include "kernels/cuda/rotation_items.h"
#include "kernels/cuda/row_launch.h"

namespace incipit {
namespace {

std::string defines_of_kv_write(const KvWrite::Problem& problem, const KernelConfig&) {
  return define("INPUT", name_of(problem.input)) + define("CACHE", name_of(problem.cache)) +
         define("INTERLEAVED", problem.interleaved ? 1 : 0) +
         define("ITEM_PAIRS", rotation_pairs(problem.head_dim, problem.rotary_pairs));
}

CudaLaunch launch_kv_write(const KvWrite::Problem& problem, const KvWrite::Args& args, const KernelConfig&,
                           const LaunchCounts& counts, const CudaLimits&) {
  const KvGeometry geometry = problem.geometry();
  const PagedCache& cache = args.cache;
  const bool aligned = has_whole_items(problem.head_dim, problem.rotary_pairs) &&
                       aligned_rows(args.keys, args.key_stride, size_of(problem.input)) &&
                       aligned_rows(args.values, args.value_stride, size_of(problem.input)) &&
                       (problem.rotary_pairs == 0 || aligned_rows(args.table, args.table_stride, sizeof(float))) &&
                       aligned_rows(cache.pool, cache.page_bytes, 1) && cache.layer_offset % 16 == 0;
  const int32_t item_pairs = rotation_pairs(problem.head_dim, problem.rotary_pairs);
  const int32_t items = problem.kv_heads * (rotation_items(problem.head_dim, problem.rotary_pairs, item_pairs) +
                                            rotation_items(problem.head_dim, 0, item_pairs));
  CudaLaunch launch = items_launch(counts.rows, (items + kv_items_of_thread - 1) / kv_items_of_thread);
  launch.set_parameters(KvWriteParams{counts, args.sequences, args.spans, cache, geometry.head_bytes(),
                                      geometry.half_bytes(), args.keys, args.key_stride, args.values, args.value_stride,
                                      args.table, args.table_stride, problem.kv_heads, problem.head_dim,
                                      problem.page_tokens, problem.rotary_pairs, aligned});
  return launch;
}

}  // namespace

Kernel<KvWrite> kv_write_cuda() {
  const auto accepts = [](const KvWrite::Problem& p) {
    return p.kv_heads > 0 && p.head_dim > 0 && p.head_dim % 2 == 0 && p.page_tokens % 16 == 0 &&
           p.pages == PageLayout::rows && p.rotary_pairs >= 0 && 2 * int64_t{p.rotary_pairs} <= p.head_dim &&
           is_float_row(p.input) && (is_float_row(p.cache) || p.cache == DType::f16);
  };
  return cuda_kernel<KvWrite>("kv_write/cuda", any_cuda, accepts,
                              {"kv_write.cu", defines_of_kv_write, launch_kv_write});
}

}  // namespace incipit
