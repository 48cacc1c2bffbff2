// The blocks that share a piece of work: a cluster of CLUSTER blocks, which see each other's shared memory; or, where
// CLUSTER is 1, a block by itself.
#pragma once

#include <cstdint>

namespace incipit {

/// The number of this block in its cluster.
inline int32_t cluster_rank() {
#if CLUSTER > 1
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int32_t>(rank);
#else
  return 0;
#endif
}

/// Where a variable of this block's shared memory lies in that of block `rank`.
template <typename T>
T* of_block(T* variable, int32_t rank) {
#if CLUSTER > 1
  uint64_t there;
  asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(reinterpret_cast<uint64_t>(variable)), "r"(rank));
  return reinterpret_cast<T*>(there);
#else
  return variable;
#endif
}

/// All threads of the cluster meet; what each wrote before can be seen behind it.
inline void cluster_arrive() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
inline void cluster_wait() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}
inline void cluster_sync() {
#if CLUSTER > 1
  cluster_arrive();
  cluster_wait();
#else
  __syncthreads();
#endif
}

}  // namespace incipit
