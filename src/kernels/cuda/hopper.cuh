// What kernels of sm_90 do beside arithmetic: barriers in shared memory, boxes loaded by the copy engine, clusters.
#pragma once

#include <cstddef>
#include <cstdint>

namespace incipit {

// ---- barriers: phases of expected arrivals and bytes. A phase is named by its parity.
inline void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}
/// After barriers were initialised, before the copy engine or another block uses them.
inline void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
inline void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
inline void expect_bytes(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
inline void wait_for_phase(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred done;\nwaiting:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra waiting;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
/// A place in a ring of stages, and the parity of its barriers' phases.
template <int stages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;
  void next() {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
  void advance(int count) {
    stage += count;
    parity ^= stage / stages & 1;
    stage %= stages;
  }
};

// ---- barriers of some of a block's threads: 0 is __syncthreads()'s
inline void sync_threads(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
/// Arrives without waiting for the others.
inline void arrive_threads(int barrier, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// ---- boxes of a tensor map, loaded into shared memory; the barrier counts their bytes
inline void load_box(uint32_t to, const void* map, uint32_t barrier, int32_t column, int32_t row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          to),
      "l"(map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}
/// As load_box, of what nobody needs again soon.
inline void load_box_once(uint32_t to, const void* map, uint32_t barrier, int32_t column, int32_t row) {
  constexpr uint64_t evict_first = 0x12f0000000000000;
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to),
      "l"(map), "r"(barrier), "r"(column), "r"(row), "l"(evict_first)
      : "memory");
}
inline void load_box(uint32_t to, const void* map, uint32_t barrier, int32_t column, int32_t row, int32_t matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(
          to),
      "l"(map), "r"(barrier), "r"(column), "r"(row), "r"(matrix)
      : "memory");
}
/// Shared memory that threads have written is as the products and the copy engine see it.
inline void publish_shared_memory() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
inline void prefetch_map(const void* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }

// ---- clusters
inline uint32_t block_in_cluster() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
inline void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// What lies at the same place of another block's shared memory.
inline uint32_t address_in(uint32_t address, uint32_t block) {
  uint32_t remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(block));
  return remote;
}
inline void store_shared(uint32_t address, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}
inline void store_shared(uint32_t address, int32_t value) {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}
inline float4 load_four_shared(uint32_t address) {
  float4 four;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(four.x), "=f"(four.y), "=f"(four.z), "=f"(four.w)
               : "r"(address)
               : "memory");
  return four;
}
inline uint2 load_two_shared(uint32_t address) {
  uint2 two;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(two.x), "=r"(two.y) : "r"(address) : "memory");
  return two;
}
inline void load_from_cluster(uint32_t address, float& value) {
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
}
inline void load_from_cluster(uint32_t address, int32_t& value) {
  asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
}

/// Registers that each thread of the warpgroup may have from here on.
template <int Registers>
void shrink_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
void grow_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

}  // namespace incipit
