#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/embedding_params.h"
#include "kernels/cuda/row_launch.h"

namespace incipit {
namespace {

CudaLaunch launch_embedding_rows(EmbeddingParams params, int32_t rows, DType table) {
  params.aligned = aligned_rows(params.table, params.table_stride, size_of(table)) &&
                   aligned_rows(params.output, params.output_stride, sizeof(float));
  CudaLaunch launch = items_launch(rows, (params.padded_width + 7) / 8);
  launch.set_parameters(params);
  return launch;
}

std::string defines_of_embedding(const Embedding::Problem& problem, const KernelConfig&) {
  return define("TABLE", name_of(problem.table)) + define("UNITS", 0);
}

CudaLaunch launch_embedding(const Embedding::Problem& problem, const Embedding::Args& args, const KernelConfig&,
                            const LaunchCounts& counts, const CudaLimits&) {
  return launch_embedding_rows(
      {counts, args.ids, args.table, problem.width, nullptr, reinterpret_cast<float*>(args.output), args.output_stride,
       problem.width, padded_width(problem.width, args.output_stride, args.pad_output), problem.scale, false},
      counts.rows, problem.table);
}

std::string defines_of_packed_embedding(const PackedEmbedding::Problem& problem, const KernelConfig&) {
  return define("TABLE", name_of(problem.format.codes)) + define("UNITS", problem.format.scales ? 1 : 0);
}

CudaLaunch launch_packed_embedding(const PackedEmbedding::Problem& problem, const PackedEmbedding::Args& args,
                                   const KernelConfig&, const LaunchCounts& counts, const CudaLimits&) {
  // Rows of k_major8 are in the order of the weight.
  const PackedShape shape = packed_shape(k_major8, problem.weight());
  return launch_embedding_rows(
      {counts, args.ids, args.table.codes, shape.padded_k, args.table.f32_scales(), args.output, args.output_stride,
       problem.width, padded_width(problem.width, args.output_stride, args.pad_output), problem.scale, false},
      counts.rows, problem.format.codes);
}

}  // namespace

Kernel<Embedding> embedding_cuda() {
  const auto accepts = [](const Embedding::Problem& p) {
    return p.width > 0 && (is_float_row(p.table) || p.table == DType::f16) && p.output == DType::f32;
  };
  return cuda_kernel<Embedding>("embedding/cuda", any_cuda, accepts,
                                {"embedding.cu", defines_of_embedding, launch_embedding});
}

Kernel<PackedEmbedding> packed_embedding_cuda() {
  const auto accepts = [](const PackedEmbedding::Problem& p) {
    return p.width > 0 && (p.format == WeightFormat::f32 || p.format == WeightFormat::bf16 ||
                           p.format == WeightFormat::f16 || p.format == WeightFormat::i8);
  };
  Kernel<PackedEmbedding> kernel =
      cuda_kernel<PackedEmbedding>("packed_embedding/cuda", any_cuda, accepts,
                                   {"embedding.cu", defines_of_packed_embedding, launch_packed_embedding});
  kernel.layout = &k_major8;
  return kernel;
}

}  // namespace incipit
