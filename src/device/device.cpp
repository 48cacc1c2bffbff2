#include "device/device.h"

#include <chrono>

namespace incipit {

double Device::time(const PreparedLaunch& prepared) {
  wait(record_event());
  const auto start = std::chrono::steady_clock::now();
  launch(prepared);
  wait(record_event());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace incipit
