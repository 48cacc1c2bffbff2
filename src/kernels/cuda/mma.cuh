// Warps' matrix products (mma.sync) of bf16 and of codes, and the copies that feed them. Operands lie in memory as rows
// of k. In bytes both are alike: a product takes 32 bytes of k.
//
// Of a fragment's 16 × 32 bytes a lane has four words: bytes 4·(lane % 4) of rows lane / 4 and lane / 4 + 8, then those
// 16 bytes behind them; of the other operand's 8 × 32 bytes the two words of row lane / 4.
#pragma once

#include "kernels/cuda/prelude.cuh"

namespace incipit {

/// sums[16 × 8] += first[16 × k] · second[8 × k]ᵀ: of bf16 in f32, of codes exactly. A lane has columns
/// 2·(lane % 4) + {0, 1} of rows lane / 4 and lane / 4 + 8, in this order.
inline void multiply_add(float* sums, const uint32_t* first, const uint32_t* second) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(first[0]), "r"(first[1]), "r"(first[2]), "r"(first[3]), "r"(second[0]), "r"(second[1]));
}
/// The same of f16.
inline void multiply_add_f16(float* sums, const uint32_t* first, const uint32_t* second) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(first[0]), "r"(first[1]), "r"(first[2]), "r"(first[3]), "r"(second[0]), "r"(second[1]));
}
inline void multiply_add(int32_t* sums, const uint32_t* first, const uint32_t* second) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(first[0]), "r"(first[1]), "r"(first[2]), "r"(first[3]), "r"(second[0]), "r"(second[1]));
}

/// Four matrices of 8 rows × 16 bytes; lane i gives the address of row i % 8 of matrix i / 8.
inline void load_matrices(uint32_t* words, uint32_t shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(shared)
               : "memory");
}

/// The same, each matrix transposed: a lane gets words of columns.
inline void load_transposed_matrices(uint32_t* words, uint32_t shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(shared)
               : "memory");
}

/// Starts a copy of 16 bytes, past the first-level cache.
inline void copy_16(uint32_t shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(global) : "memory");
}
/// The same of the first `bytes` of them, none or all; the others become zeros.
inline void copy_16_or_zeros(uint32_t shared, const void* global, uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}
/// The copies started since the last group are a group.
inline void end_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `pending` of this thread's groups are under way.
template <int pending>
inline void wait_for_copy_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace incipit
