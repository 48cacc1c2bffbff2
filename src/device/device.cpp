#include "device/device.h"

#include <chrono>

#include "base/error.h"

namespace incipit {

void LaunchCode::compute(const void*) const { INCIPIT_ASSERT(!"a launch that only processors run"); }

std::vector<TensorMap> LaunchCode::tensor_maps(const void*, int32_t) const { return {}; }

double Device::time(const PreparedLaunch& prepared) {
  wait(record_event());
  const auto start = std::chrono::steady_clock::now();
  launch(prepared);
  wait(record_event());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace incipit
