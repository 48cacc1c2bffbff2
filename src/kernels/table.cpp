// The kernels: one section a family, one line a kernel, a backend's best guess first. The line is all that a kernel
// needs to be chosen, tested (tests/kernels) and measured (bench).
#include <span>

#include "kernels/cpu/expert_linear.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/kernel.h"
#include "kernels/shadow/shadow_kernel.h"

namespace incipit {

// clang-format off

// ---- Linear
std::span<const Kernel<Linear>> Linear::kernels() {
  static const Kernel<Linear> table[] = {
#if defined(__x86_64__)
      linear_amx_bf16(),
      linear_amx_i8(),
      linear_avx512_bf16(),
      linear_avx512_i8(),
      linear_avx512_i4(),
      // No AMX before Granite Rapids multiplies f16: processors with tiles take this kernel too.
      linear_avx512_f16(),
      linear_avx512_f32(),
      linear_avx2_bf16(),
      linear_avx_vnni_i8(),
      linear_avx2_i8(),
      linear_avx_vnni_i4(),
      linear_avx2_i4(),
      linear_avx2_f16(),
      linear_avx2_f32(),
#endif
      linear_generic_f32(),
      linear_generic_bf16(),
      linear_generic_f16(),
      linear_generic_i8(),
      linear_generic_i4(),
      linear_wgmma_cuda(),
      linear_wgmma_between_cuda(),
      linear_wgmma_four_bits_cuda(),
      linear_stream_cuda(),
      linear_mma_cuda(),
      linear_gemv_cuda(),
      linear_gemv_four_bits_cuda(),
      linear_gemv_fma_cuda(),
      linear_generic_cuda(),
      shadow_few_rows(),
      shadow_kernel<Linear>(),
  };
  return table;
}

// ---- Embedding
std::span<const Kernel<Embedding>> Embedding::kernels() {
  static const Kernel<Embedding> table[] = {
#if defined(__x86_64__)
      embedding_highway(HighwayTarget::avx3),
      embedding_highway(HighwayTarget::avx2),
#endif
      embedding_highway(HighwayTarget::baseline),
      embedding_cuda(),
      shadow_kernel<Embedding>(),
  };
  return table;
}

// ---- PackedEmbedding
std::span<const Kernel<PackedEmbedding>> PackedEmbedding::kernels() {
  static const Kernel<PackedEmbedding> table[] = {
      packed_embedding_generic(),
      packed_embedding_cuda(),
      shadow_kernel<PackedEmbedding>(),
  };
  return table;
}

// ---- RmsNorm
std::span<const Kernel<RmsNorm>> RmsNorm::kernels() {
  static const Kernel<RmsNorm> table[] = {
#if defined(__x86_64__)
      rms_norm_highway(HighwayTarget::avx3),
      rms_norm_highway(HighwayTarget::avx2),
#endif
      rms_norm_highway(HighwayTarget::baseline),
      rms_norm_cuda(),
      shadow_kernel<RmsNorm>(),
  };
  return table;
}

// ---- LayerNorm
std::span<const Kernel<LayerNorm>> LayerNorm::kernels() {
  static const Kernel<LayerNorm> table[] = {
#if defined(__x86_64__)
      layer_norm_highway(HighwayTarget::avx3),
      layer_norm_highway(HighwayTarget::avx2),
#endif
      layer_norm_highway(HighwayTarget::baseline),
      layer_norm_cuda(),
      shadow_kernel<LayerNorm>(),
  };
  return table;
}

// ---- QuantizeRows
std::span<const Kernel<QuantizeRows>> QuantizeRows::kernels() {
  static const Kernel<QuantizeRows> table[] = {
#if defined(__x86_64__)
      quantize_rows_highway(HighwayTarget::avx3),
      quantize_rows_highway(HighwayTarget::avx2),
#endif
      quantize_rows_highway(HighwayTarget::baseline),
      quantize_rows_cuda(),
      shadow_kernel<QuantizeRows>(),
  };
  return table;
}

// ---- Elementwise
std::span<const Kernel<Elementwise>> Elementwise::kernels() {
  static const Kernel<Elementwise> table[] = {
#if defined(__x86_64__)
      elementwise_highway(HighwayTarget::avx3),
      elementwise_highway(HighwayTarget::avx2),
#endif
      elementwise_highway(HighwayTarget::baseline),
      elementwise_cuda(),
      shadow_kernel<Elementwise>(),
  };
  return table;
}

// ---- GatherRows
std::span<const Kernel<GatherRows>> GatherRows::kernels() {
  static const Kernel<GatherRows> table[] = {
      gather_rows_generic(),
      gather_rows_cuda(),
      shadow_kernel<GatherRows>(),
  };
  return table;
}

// ---- RotaryTable
std::span<const Kernel<RotaryTable>> RotaryTable::kernels() {
  static const Kernel<RotaryTable> table[] = {
      rotary_table_generic(),
      rotary_table_cuda(),
      shadow_kernel<RotaryTable>(),
  };
  return table;
}

// ---- Rotary
std::span<const Kernel<Rotary>> Rotary::kernels() {
  static const Kernel<Rotary> table[] = {
#if defined(__x86_64__)
      rotary_highway(HighwayTarget::avx3),
      rotary_highway(HighwayTarget::avx2),
#endif
      rotary_highway(HighwayTarget::baseline),
      rotary_cuda(),
      shadow_kernel<Rotary>(),
  };
  return table;
}

// ---- KvWrite
std::span<const Kernel<KvWrite>> KvWrite::kernels() {
  static const Kernel<KvWrite> table[] = {
#if defined(__x86_64__)
      kv_write_highway(HighwayTarget::avx3),
      kv_write_highway(HighwayTarget::avx2),
#endif
      kv_write_highway(HighwayTarget::baseline),
      kv_write_cuda(),
      shadow_kernel<KvWrite>(),
  };
  return table;
}

// ---- Attention
std::span<const Kernel<Attention>> Attention::kernels() {
  static const Kernel<Attention> table[] = {
#if defined(__x86_64__)
      attention_amx(),
      attention_avx512_bf16(),
      attention_avx512(),
      attention_avx2(),
#endif
      attention_generic(),
      attention_decode_cluster_cuda(),
      attention_decode_cuda(),
      attention_wgmma_cuda(),
      attention_mma_cuda(),
      attention_generic_cuda(),
      shadow_kernel<Attention>(),
  };
  return table;
}

// ---- Router
std::span<const Kernel<Router>> Router::kernels() {
  static const Kernel<Router> table[] = {
      router_generic(),
      router_cuda(),
      shadow_kernel<Router>(),
  };
  return table;
}

// ---- ExpertLinear: a kernel over each of Linear's
std::span<const Kernel<ExpertLinear>> ExpertLinear::kernels() {
  static const Kernel<ExpertLinear> table[] = {
#if defined(__x86_64__)
      expert_linear<linear_amx_bf16>(),
      expert_linear<linear_amx_i8>(),
      expert_linear<linear_avx512_bf16>(),
      expert_linear<linear_avx512_i8>(),
      expert_linear<linear_avx512_i4>(),
      expert_linear<linear_avx512_f16>(),
      expert_linear<linear_avx512_f32>(),
      expert_linear<linear_avx2_bf16>(),
      expert_linear<linear_avx_vnni_i8>(),
      expert_linear<linear_avx2_i8>(),
      expert_linear<linear_avx_vnni_i4>(),
      expert_linear<linear_avx2_i4>(),
      expert_linear<linear_avx2_f16>(),
      expert_linear<linear_avx2_f32>(),
#endif
      expert_linear<linear_generic_f32>(),
      expert_linear<linear_generic_bf16>(),
      expert_linear<linear_generic_f16>(),
      expert_linear<linear_generic_i8>(),
      expert_linear<linear_generic_i4>(),
      expert_linear_gemv_cuda(),
      expert_linear_mma_cuda(),
      expert_linear_fma_cuda(),
      shadow_kernel<ExpertLinear>(),
  };
  return table;
}

// ---- WeightedSum
std::span<const Kernel<WeightedSum>> WeightedSum::kernels() {
  static const Kernel<WeightedSum> table[] = {
#if defined(__x86_64__)
      weighted_sum_highway(HighwayTarget::avx3),
      weighted_sum_highway(HighwayTarget::avx2),
#endif
      weighted_sum_highway(HighwayTarget::baseline),
      weighted_sum_cuda(),
      shadow_kernel<WeightedSum>(),
  };
  return table;
}

// ---- ResolveTokens
std::span<const Kernel<ResolveTokens>> ResolveTokens::kernels() {
  static const Kernel<ResolveTokens> table[] = {
      resolve_tokens_generic(),
      resolve_tokens_cuda(),
      shadow_kernel<ResolveTokens>(),
  };
  return table;
}

// ---- Sample
std::span<const Kernel<Sample>> Sample::kernels() {
  static const Kernel<Sample> table[] = {
#if defined(__x86_64__)
      sample_highway(HighwayTarget::avx3),
      sample_highway(HighwayTarget::avx2),
#endif
      sample_highway(HighwayTarget::baseline),
      sample_cuda_cluster(),
      sample_cuda(),
      shadow_kernel<Sample>(),
  };
  return table;
}

// ---- What happens to slots between steps, and how a step's end is told
std::span<const Kernel<ResetSlot>> ResetSlot::kernels() {
  static const Kernel<ResetSlot> table[] = {
      reset_slot_generic(),
      reset_slot_cuda(),
      shadow_kernel<ResetSlot>(),
  };
  return table;
}

std::span<const Kernel<TruncateSlot>> TruncateSlot::kernels() {
  static const Kernel<TruncateSlot> table[] = {
      truncate_slot_generic(),
      truncate_slot_cuda(),
      shadow_kernel<TruncateSlot>(),
  };
  return table;
}

std::span<const Kernel<Publish>> Publish::kernels() {
  static const Kernel<Publish> table[] = {
      publish_generic(),
      publish_cuda(),
      shadow_kernel<Publish>(),
  };
  return table;
}

// clang-format on

}  // namespace incipit
