#include "device/device.h"

#include <chrono>

#include "base/error.h"

namespace incipit {

double Device::time(std::span<const PreparedLaunch* const> launches) {
  wait(record_event());
  const auto start = std::chrono::steady_clock::now();
  for (const PreparedLaunch* prepared : launches) launch(*prepared);
  wait(record_event());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::unique_ptr<Device> make_device(const Target& target, int threads) {
  switch (target.backend) {
    case Backend::cpu: return make_cpu_device(threads);
    case Backend::shadow: return make_shadow_device();
    case Backend::cuda: return make_cuda_device();
  }
  INCIPIT_ASSERT(false);
  return nullptr;
}

}  // namespace incipit
