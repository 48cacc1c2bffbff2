// The CPU kernels of every family but the products, one function each (or one a Highway target); table.cpp lists them.
#pragma once

#include "kernels/cpu/highway_targets.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"

namespace incipit {

Kernel<Embedding> embedding_highway(HighwayTarget);
Kernel<PackedEmbedding> packed_embedding_generic();
Kernel<RmsNorm> rms_norm_highway(HighwayTarget);
Kernel<LayerNorm> layer_norm_highway(HighwayTarget);
Kernel<QuantizeRows> quantize_rows_highway(HighwayTarget);
Kernel<Elementwise> elementwise_highway(HighwayTarget);
Kernel<GatherRows> gather_rows_generic();
Kernel<RotaryTable> rotary_table_generic();
Kernel<Rotary> rotary_highway(HighwayTarget);
Kernel<KvWrite> kv_write_highway(HighwayTarget);
Kernel<Attention> attention_generic();
Kernel<Attention> attention_avx2();
Kernel<Attention> attention_avx512();
Kernel<Attention> attention_avx512_bf16();
Kernel<Attention> attention_amx();
Kernel<Router> router_generic();
Kernel<WeightedSum> weighted_sum_highway(HighwayTarget);
Kernel<ResolveTokens> resolve_tokens_generic();
Kernel<Sample> sample_highway(HighwayTarget);
Kernel<ResetSlot> reset_slot_generic();
Kernel<TruncateSlot> truncate_slot_generic();
Kernel<Publish> publish_generic();

}  // namespace incipit
