// The kernels of the CPU: one section a family, one line a kernel, best guess first. The line is all that a kernel
// needs to be chosen, tested (tests/kernels) and measured (bench).
#include <vector>

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/kernel.h"

namespace incipit {

// clang-format off

// ---- Linear
template <>
std::span<const Kernel<Linear>> kernels<Linear>() {
  static const std::vector<Kernel<Linear>> table{
#if defined(__x86_64__)
      linear_amx_bf16(),
      linear_amx_i8(),
      linear_avx512_bf16(),
      linear_avx512_i8(),
      linear_avx512_f32(),
      linear_avx2_bf16(),
      linear_avx2_i8(),
      linear_avx2_f32(),
#endif
      linear_generic_f32(),
      linear_generic_bf16(),
      linear_generic_i8(),
  };
  return table;
}

// ---- Embedding
template <>
std::span<const Kernel<Embedding>> kernels<Embedding>() {
  static const std::vector<Kernel<Embedding>> table{
#if defined(__x86_64__)
      embedding_highway(HighwayTarget::avx3),
      embedding_highway(HighwayTarget::avx2),
#endif
      embedding_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- PackedEmbedding
template <>
std::span<const Kernel<PackedEmbedding>> kernels<PackedEmbedding>() {
  static const std::vector<Kernel<PackedEmbedding>> table{
      packed_embedding_generic(),
  };
  return table;
}

// ---- RmsNorm
template <>
std::span<const Kernel<RmsNorm>> kernels<RmsNorm>() {
  static const std::vector<Kernel<RmsNorm>> table{
#if defined(__x86_64__)
      rms_norm_highway(HighwayTarget::avx3),
      rms_norm_highway(HighwayTarget::avx2),
#endif
      rms_norm_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- QuantizeRows
template <>
std::span<const Kernel<QuantizeRows>> kernels<QuantizeRows>() {
  static const std::vector<Kernel<QuantizeRows>> table{
#if defined(__x86_64__)
      quantize_rows_highway(HighwayTarget::avx3),
      quantize_rows_highway(HighwayTarget::avx2),
#endif
      quantize_rows_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- Elementwise
template <>
std::span<const Kernel<Elementwise>> kernels<Elementwise>() {
  static const std::vector<Kernel<Elementwise>> table{
#if defined(__x86_64__)
      elementwise_highway(HighwayTarget::avx3),
      elementwise_highway(HighwayTarget::avx2),
#endif
      elementwise_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- GatherRows
template <>
std::span<const Kernel<GatherRows>> kernels<GatherRows>() {
  static const std::vector<Kernel<GatherRows>> table{
      gather_rows_generic(),
  };
  return table;
}

// ---- RotaryTable
template <>
std::span<const Kernel<RotaryTable>> kernels<RotaryTable>() {
  static const std::vector<Kernel<RotaryTable>> table{
      rotary_table_generic(),
  };
  return table;
}

// ---- Rotary
template <>
std::span<const Kernel<Rotary>> kernels<Rotary>() {
  static const std::vector<Kernel<Rotary>> table{
#if defined(__x86_64__)
      rotary_highway(HighwayTarget::avx3),
      rotary_highway(HighwayTarget::avx2),
#endif
      rotary_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- KvWrite
template <>
std::span<const Kernel<KvWrite>> kernels<KvWrite>() {
  static const std::vector<Kernel<KvWrite>> table{
#if defined(__x86_64__)
      kv_write_highway(HighwayTarget::avx3),
      kv_write_highway(HighwayTarget::avx2),
#endif
      kv_write_highway(HighwayTarget::baseline),
  };
  return table;
}

// ---- Attention
template <>
std::span<const Kernel<Attention>> kernels<Attention>() {
  static const std::vector<Kernel<Attention>> table{
#if defined(__x86_64__)
      attention_amx(),
      attention_avx512_bf16(),
      attention_avx512(),
      attention_avx2(),
#endif
      attention_generic(),
  };
  return table;
}

// ---- ResolveTokens
template <>
std::span<const Kernel<ResolveTokens>> kernels<ResolveTokens>() {
  static const std::vector<Kernel<ResolveTokens>> table{
      resolve_tokens_generic(),
  };
  return table;
}

// ---- Sample
template <>
std::span<const Kernel<Sample>> kernels<Sample>() {
  static const std::vector<Kernel<Sample>> table{
#if defined(__x86_64__)
      sample_highway(HighwayTarget::avx3),
      sample_highway(HighwayTarget::avx2),
#endif
      sample_highway(HighwayTarget::baseline),
  };
  return table;
}

// clang-format on

}  // namespace incipit
