// Publish (kernels/sampling.h): one thread.
#include "kernels/cuda/prelude.cuh"
#include "kernels/cuda/publish_params.h"

using namespace incipit;

extern "C" __global__ void publish(const __grid_constant__ PublishParams params) {
  const uint64_t step = params.counts.counts != nullptr ? params.counts.counts->step : params.step;
  wait_for_predecessors();
  __threadfence_system();
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(params.done), "l"(step) : "memory");
}
