// The CUDA kernels of every family, one function each; table.cpp lists them.
#pragma once

#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"

namespace incipit {

Kernel<Embedding> embedding_cuda();
Kernel<PackedEmbedding> packed_embedding_cuda();
Kernel<RmsNorm> rms_norm_cuda();
Kernel<LayerNorm> layer_norm_cuda();
Kernel<QuantizeRows> quantize_rows_cuda();
Kernel<Elementwise> elementwise_cuda();
Kernel<GatherRows> gather_rows_cuda();
Kernel<RotaryTable> rotary_table_cuda();
Kernel<Rotary> rotary_cuda();
Kernel<KvWrite> kv_write_cuda();
Kernel<Router> router_cuda();
Kernel<ExpertLinear> expert_linear_gemv_cuda();
Kernel<ExpertLinear> expert_linear_mma_cuda();
Kernel<ExpertLinear> expert_linear_fma_cuda();
Kernel<WeightedSum> weighted_sum_cuda();
Kernel<Linear> linear_wgmma_cuda();
Kernel<Linear> linear_wgmma_between_cuda();
Kernel<Linear> linear_wgmma_four_bits_cuda();
Kernel<Linear> linear_gemv_cuda();
Kernel<Linear> linear_gemv_four_bits_cuda();
Kernel<Linear> linear_gemv_fma_cuda();
Kernel<Linear> linear_stream_cuda();
Kernel<Linear> linear_generic_cuda();
Kernel<Linear> linear_mma_cuda();
Kernel<Attention> attention_wgmma_cuda();
Kernel<Attention> attention_mma_cuda();
Kernel<Attention> attention_decode_cluster_cuda();  // of sm_90
Kernel<Attention> attention_decode_cuda();
Kernel<Attention> attention_generic_cuda();
Kernel<ResolveTokens> resolve_tokens_cuda();
Kernel<Sample> sample_cuda_cluster();  // of sm_90
Kernel<Sample> sample_cuda();
Kernel<ResetSlot> reset_slot_cuda();
Kernel<TruncateSlot> truncate_slot_cuda();
Kernel<Publish> publish_cuda();

}  // namespace incipit
