// Regions of code compiled for one instruction set.
//
//   #include …                               (every include before the region)
//   INCIPIT_BEGIN_TARGET(INCIPIT_AVX2)
//   namespace incipit { namespace { … } }
//   INCIPIT_END_TARGET
//
// Never a -m flag for a whole file: the inline functions of shared headers would be compiled with it too, the linker
// keeps one copy of each, and a machine without the instructions would then run it. For the same reason code in a
// region lives in an anonymous namespace, and what others call on any machine (the functions that describe kernels)
// stands after it; `*.inc` files are included inside regions and so are compiled anew for each.
#pragma once

#define INCIPIT_PRAGMA(x) _Pragma(#x)

#if defined(__clang__)
#define INCIPIT_BEGIN_TARGET(features) \
  INCIPIT_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define INCIPIT_END_TARGET INCIPIT_PRAGMA(clang attribute pop)
#else
#define INCIPIT_BEGIN_TARGET(features) INCIPIT_PRAGMA(GCC push_options) INCIPIT_PRAGMA(GCC target(features))
#define INCIPIT_END_TARGET INCIPIT_PRAGMA(GCC pop_options)
#endif

// What the bits of CpuFeature (base/cpu.h) promise, in the compiler's names.
#define INCIPIT_AVX2 "avx2,fma,f16c"
#define INCIPIT_AVX_VNNI "avx2,fma,f16c,avxvnni"
#define INCIPIT_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd"
#define INCIPIT_AVX512_BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512bf16"
#define INCIPIT_AVX512_VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni"
