// What a device that loads code knows a kernel's code by.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "kernels/kernel.h"

namespace incipit {

/// A function in an engine's section `device_code`.
struct DeviceFunction {
  std::string name;
  uint32_t abi = 0;
  auto operator<=>(const DeviceFunction&) const = default;
};

/// Of a GPU: the source, without ".cu", and what it is specialised by, as in "gather_rows ELEMENT=uint16_t". Of other
/// devices: the kernel's name.
template <typename Family>
DeviceFunction function_of(const Kernel<Family>& kernel, const typename Family::Problem& problem,
                           const KernelConfig& config) {
  if (kernel.needs.backend != Backend::cuda) return {std::string(kernel.name), kernel.abi};
  std::string name(kernel.cuda.source.substr(0, kernel.cuda.source.rfind('.')));
  if (kernel.cuda.defines != nullptr) name += " " + kernel.cuda.defines(problem, config);
  while (name.back() == ' ') name.pop_back();
  return {std::move(name), kernel.abi};
}

}  // namespace incipit
