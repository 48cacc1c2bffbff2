// A warpgroup's matrix product (wgmma, sm_90a): d[64 × WGMMA_N] += a[64 × 16] · b[WGMMA_N × 16]ᵀ of bf16, in f32; or
// with WGMMA_CODES 32 of k of int8, in int32. Both operands lie in shared memory as rows of k in the 128-byte swizzle.
// WGMMA_N is a define: a multiple of 8 up to 256, of codes of 16. A thread holds columns 2·(lane % 4) + {0, 1} of each
// 8, of rows lane / 4 and lane / 4 + 8 of its warp's 16.
#pragma once

#include <cstdint>

#ifndef WGMMA_CODES
#define WGMMA_CODES 0
#endif
#if WGMMA_CODES
#define WGMMA_HOLD "+r"
#define WGMMA_TYPES "k32.s32.s8.s8"
#define WGMMA_FLAGS "p"
#else
#define WGMMA_HOLD "+f"
#define WGMMA_TYPES "k16.f32.bf16.bf16"
#define WGMMA_FLAGS "p, 1, 1, 0, 0"
#endif

// An instruction names each of its registers: lists for every width.
#define WGMMA_REGISTERS_8 "%0, %1, %2, %3"
#define WGMMA_REGISTERS_16 WGMMA_REGISTERS_8 ", %4, %5, %6, %7"
#define WGMMA_REGISTERS_24 WGMMA_REGISTERS_16 ", %8, %9, %10, %11"
#define WGMMA_REGISTERS_32 WGMMA_REGISTERS_24 ", %12, %13, %14, %15"
#define WGMMA_REGISTERS_40 WGMMA_REGISTERS_32 ", %16, %17, %18, %19"
#define WGMMA_REGISTERS_48 WGMMA_REGISTERS_40 ", %20, %21, %22, %23"
#define WGMMA_REGISTERS_56 WGMMA_REGISTERS_48 ", %24, %25, %26, %27"
#define WGMMA_REGISTERS_64 WGMMA_REGISTERS_56 ", %28, %29, %30, %31"
#define WGMMA_REGISTERS_72 WGMMA_REGISTERS_64 ", %32, %33, %34, %35"
#define WGMMA_REGISTERS_80 WGMMA_REGISTERS_72 ", %36, %37, %38, %39"
#define WGMMA_REGISTERS_88 WGMMA_REGISTERS_80 ", %40, %41, %42, %43"
#define WGMMA_REGISTERS_96 WGMMA_REGISTERS_88 ", %44, %45, %46, %47"
#define WGMMA_REGISTERS_104 WGMMA_REGISTERS_96 ", %48, %49, %50, %51"
#define WGMMA_REGISTERS_112 WGMMA_REGISTERS_104 ", %52, %53, %54, %55"
#define WGMMA_REGISTERS_120 WGMMA_REGISTERS_112 ", %56, %57, %58, %59"
#define WGMMA_REGISTERS_128 WGMMA_REGISTERS_120 ", %60, %61, %62, %63"
#define WGMMA_REGISTERS_136 WGMMA_REGISTERS_128 ", %64, %65, %66, %67"
#define WGMMA_REGISTERS_144 WGMMA_REGISTERS_136 ", %68, %69, %70, %71"
#define WGMMA_REGISTERS_152 WGMMA_REGISTERS_144 ", %72, %73, %74, %75"
#define WGMMA_REGISTERS_160 WGMMA_REGISTERS_152 ", %76, %77, %78, %79"
#define WGMMA_REGISTERS_168 WGMMA_REGISTERS_160 ", %80, %81, %82, %83"
#define WGMMA_REGISTERS_176 WGMMA_REGISTERS_168 ", %84, %85, %86, %87"
#define WGMMA_REGISTERS_184 WGMMA_REGISTERS_176 ", %88, %89, %90, %91"
#define WGMMA_REGISTERS_192 WGMMA_REGISTERS_184 ", %92, %93, %94, %95"
#define WGMMA_REGISTERS_200 WGMMA_REGISTERS_192 ", %96, %97, %98, %99"
#define WGMMA_REGISTERS_208 WGMMA_REGISTERS_200 ", %100, %101, %102, %103"
#define WGMMA_REGISTERS_216 WGMMA_REGISTERS_208 ", %104, %105, %106, %107"
#define WGMMA_REGISTERS_224 WGMMA_REGISTERS_216 ", %108, %109, %110, %111"
#define WGMMA_REGISTERS_232 WGMMA_REGISTERS_224 ", %112, %113, %114, %115"
#define WGMMA_REGISTERS_240 WGMMA_REGISTERS_232 ", %116, %117, %118, %119"
#define WGMMA_REGISTERS_248 WGMMA_REGISTERS_240 ", %120, %121, %122, %123"
#define WGMMA_REGISTERS_256 WGMMA_REGISTERS_248 ", %124, %125, %126, %127"
#define WGMMA_FOUR(d, i) WGMMA_HOLD(d[i]), WGMMA_HOLD(d[i + 1]), WGMMA_HOLD(d[i + 2]), WGMMA_HOLD(d[i + 3])
#define WGMMA_VALUES_8(d) WGMMA_FOUR(d, 0)
#define WGMMA_VALUES_16(d) WGMMA_VALUES_8(d), WGMMA_FOUR(d, 4)
#define WGMMA_VALUES_24(d) WGMMA_VALUES_16(d), WGMMA_FOUR(d, 8)
#define WGMMA_VALUES_32(d) WGMMA_VALUES_24(d), WGMMA_FOUR(d, 12)
#define WGMMA_VALUES_40(d) WGMMA_VALUES_32(d), WGMMA_FOUR(d, 16)
#define WGMMA_VALUES_48(d) WGMMA_VALUES_40(d), WGMMA_FOUR(d, 20)
#define WGMMA_VALUES_56(d) WGMMA_VALUES_48(d), WGMMA_FOUR(d, 24)
#define WGMMA_VALUES_64(d) WGMMA_VALUES_56(d), WGMMA_FOUR(d, 28)
#define WGMMA_VALUES_72(d) WGMMA_VALUES_64(d), WGMMA_FOUR(d, 32)
#define WGMMA_VALUES_80(d) WGMMA_VALUES_72(d), WGMMA_FOUR(d, 36)
#define WGMMA_VALUES_88(d) WGMMA_VALUES_80(d), WGMMA_FOUR(d, 40)
#define WGMMA_VALUES_96(d) WGMMA_VALUES_88(d), WGMMA_FOUR(d, 44)
#define WGMMA_VALUES_104(d) WGMMA_VALUES_96(d), WGMMA_FOUR(d, 48)
#define WGMMA_VALUES_112(d) WGMMA_VALUES_104(d), WGMMA_FOUR(d, 52)
#define WGMMA_VALUES_120(d) WGMMA_VALUES_112(d), WGMMA_FOUR(d, 56)
#define WGMMA_VALUES_128(d) WGMMA_VALUES_120(d), WGMMA_FOUR(d, 60)
#define WGMMA_VALUES_136(d) WGMMA_VALUES_128(d), WGMMA_FOUR(d, 64)
#define WGMMA_VALUES_144(d) WGMMA_VALUES_136(d), WGMMA_FOUR(d, 68)
#define WGMMA_VALUES_152(d) WGMMA_VALUES_144(d), WGMMA_FOUR(d, 72)
#define WGMMA_VALUES_160(d) WGMMA_VALUES_152(d), WGMMA_FOUR(d, 76)
#define WGMMA_VALUES_168(d) WGMMA_VALUES_160(d), WGMMA_FOUR(d, 80)
#define WGMMA_VALUES_176(d) WGMMA_VALUES_168(d), WGMMA_FOUR(d, 84)
#define WGMMA_VALUES_184(d) WGMMA_VALUES_176(d), WGMMA_FOUR(d, 88)
#define WGMMA_VALUES_192(d) WGMMA_VALUES_184(d), WGMMA_FOUR(d, 92)
#define WGMMA_VALUES_200(d) WGMMA_VALUES_192(d), WGMMA_FOUR(d, 96)
#define WGMMA_VALUES_208(d) WGMMA_VALUES_200(d), WGMMA_FOUR(d, 100)
#define WGMMA_VALUES_216(d) WGMMA_VALUES_208(d), WGMMA_FOUR(d, 104)
#define WGMMA_VALUES_224(d) WGMMA_VALUES_216(d), WGMMA_FOUR(d, 108)
#define WGMMA_VALUES_232(d) WGMMA_VALUES_224(d), WGMMA_FOUR(d, 112)
#define WGMMA_VALUES_240(d) WGMMA_VALUES_232(d), WGMMA_FOUR(d, 116)
#define WGMMA_VALUES_248(d) WGMMA_VALUES_240(d), WGMMA_FOUR(d, 120)
#define WGMMA_VALUES_256(d) WGMMA_VALUES_248(d), WGMMA_FOUR(d, 124)
#define WGMMA_INPUTS_8 "%4, %5"
#define WGMMA_INPUTS_16 "%8, %9"
#define WGMMA_INPUTS_24 "%12, %13"
#define WGMMA_INPUTS_32 "%16, %17"
#define WGMMA_INPUTS_40 "%20, %21"
#define WGMMA_INPUTS_48 "%24, %25"
#define WGMMA_INPUTS_56 "%28, %29"
#define WGMMA_INPUTS_64 "%32, %33"
#define WGMMA_INPUTS_72 "%36, %37"
#define WGMMA_INPUTS_80 "%40, %41"
#define WGMMA_INPUTS_88 "%44, %45"
#define WGMMA_INPUTS_96 "%48, %49"
#define WGMMA_INPUTS_104 "%52, %53"
#define WGMMA_INPUTS_112 "%56, %57"
#define WGMMA_INPUTS_120 "%60, %61"
#define WGMMA_INPUTS_128 "%64, %65"
#define WGMMA_INPUTS_136 "%68, %69"
#define WGMMA_INPUTS_144 "%72, %73"
#define WGMMA_INPUTS_152 "%76, %77"
#define WGMMA_INPUTS_160 "%80, %81"
#define WGMMA_INPUTS_168 "%84, %85"
#define WGMMA_INPUTS_176 "%88, %89"
#define WGMMA_INPUTS_184 "%92, %93"
#define WGMMA_INPUTS_192 "%96, %97"
#define WGMMA_INPUTS_200 "%100, %101"
#define WGMMA_INPUTS_208 "%104, %105"
#define WGMMA_INPUTS_216 "%108, %109"
#define WGMMA_INPUTS_224 "%112, %113"
#define WGMMA_INPUTS_232 "%116, %117"
#define WGMMA_INPUTS_240 "%120, %121"
#define WGMMA_INPUTS_248 "%124, %125"
#define WGMMA_INPUTS_256 "%128, %129"
// Where the first operand is in registers, for the widths that are used so.
#define WGMMA_ROW_INPUTS_16 "{%8, %9, %10, %11}, %12"
#define WGMMA_ROW_INPUTS_32 "{%16, %17, %18, %19}, %20"
#define WGMMA_ROW_INPUTS_64 "{%32, %33, %34, %35}, %36"
#define WGMMA_ROW_INPUTS_96 "{%48, %49, %50, %51}, %52"
#define WGMMA_ROW_INPUTS_128 "{%64, %65, %66, %67}, %68"
#define WGMMA_ROW_INPUTS_160 "{%80, %81, %82, %83}, %84"
#define WGMMA_ROW_INPUTS_192 "{%96, %97, %98, %99}, %100"
#define WGMMA_ROW_INPUTS_256 "{%128, %129, %130, %131}, %132"

#define WGMMA_JOINED(a, b) a##b
#define WGMMA_JOIN(a, b) WGMMA_JOINED(a, b)
#define WGMMA_TEXT_OF(x) #x
#define WGMMA_TEXT(x) WGMMA_TEXT_OF(x)

namespace incipit {

/// `a` and `b` as operand_at() makes them.
template <typename Sum>
inline void multiply(Sum (&d)[WGMMA_N / 2], uint64_t a, uint64_t b) {
  static_assert(sizeof(Sum) == 4);
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\nwgmma.mma_async.sync.aligned.m64n" WGMMA_TEXT(WGMMA_N) WGMMA_TYPES
      " {" WGMMA_JOIN(WGMMA_REGISTERS_, WGMMA_N) "}, " WGMMA_JOIN(WGMMA_INPUTS_, WGMMA_N) ", " WGMMA_FLAGS ";\n}"
      : WGMMA_JOIN(WGMMA_VALUES_, WGMMA_N)(d)
      : "l"(a), "l"(b));
}

/// The same with `a` in registers, of bf16: a lane has neighbours of k from 2·(lane % 4) on of rows lane / 4 and
/// lane / 4 + 8, then those 8 of k behind them. They must stay until the product is done.
template <typename Sum>
inline void multiply_rows(Sum (&d)[WGMMA_N / 2], const uint32_t (&a)[4], uint64_t b) {
  static_assert(sizeof(Sum) == 4);
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\nwgmma.mma_async.sync.aligned.m64n" WGMMA_TEXT(WGMMA_N) WGMMA_TYPES
      " {" WGMMA_JOIN(WGMMA_REGISTERS_, WGMMA_N) "}, " WGMMA_JOIN(WGMMA_ROW_INPUTS_, WGMMA_N) ", p, 1, 1, 0;\n}"
      : WGMMA_JOIN(WGMMA_VALUES_, WGMMA_N)(d)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/// Describes rows of 128 bytes (swizzled, groups of 8 rows one after the other) from a 1,024-byte aligned address on.
/// 32 bytes of k further on are 2 more. `next_columns`: where the next 64 columns are, if one product takes them too: of
/// operands that lie as rows of k.
inline uint64_t operand_at(uint32_t shared_address, uint64_t next_columns = 16) {
  constexpr uint64_t swizzle_128 = uint64_t{1} << 62, group_bytes = uint64_t{1024 / 16} << 32;
  return swizzle_128 | group_bytes | next_columns / 16 << 16 | ((shared_address & 0x3ffff) / 16);
}

/// Before the first product of a group: registers and shared memory that were written before are as the products see
/// them.
inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
inline void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until at most `Groups` groups are under way.
template <int Groups>
void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory");
}

}  // namespace incipit
