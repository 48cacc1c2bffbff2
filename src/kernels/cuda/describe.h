// What the descriptions of CUDA kernels have in common.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "kernels/cuda/cuda_entry.h"
#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace incipit {

inline constexpr Target any_cuda(Backend::cuda, 80);     // mma.sync and cp.async
inline constexpr Target hopper_cuda(Backend::cuda, 90);  // wgmma and tensor maps, of sm_90a alone
inline constexpr KernelConfig plain_cuda_config[] = {{"plain", {}}};

/// One setting of several.
inline const KernelConfig* config_named(std::span<const KernelConfig> configs, std::string_view name) {
  const auto found = std::ranges::find(configs, name, &KernelConfig::name);
  return found == configs.end() ? nullptr : &*found;
}

/// "NAME=VALUE", with a space behind it.
inline std::string define(std::string_view name, std::string_view value) {
  return std::string(name) + "=" + std::string(value) + " ";
}
inline std::string define(std::string_view name, int32_t value) { return define(name, std::to_string(value)); }

/// The unsigned integer of a dtype's size, as device code names it.
inline std::string_view unsigned_of(DType dtype) {
  switch (size_of(dtype)) {
    case 1: return "uint8_t";
    case 2: return "uint16_t";
    default: return "uint32_t";
  }
}

/// Columns of a row that a kernel writes: its width, and with padding zeros up to what layout.h says.
inline int32_t padded_width(int32_t width, int64_t stride, bool pad) {
  return pad ? static_cast<int32_t>(std::max<int64_t>(width, std::min(row_stride(width), stride))) : width;
}

template <typename Family>
Kernel<Family> cuda_kernel(std::string_view name, const Target& needs, bool (*accepts)(const typename Family::Problem&),
                           const CudaEntry<Family>& entry, std::span<const KernelConfig> configs = plain_cuda_config) {
  Kernel<Family> kernel{};
  kernel.name = name;
  kernel.needs = needs;
  kernel.accepts = accepts;
  kernel.configs = configs;
  kernel.cuda = entry;
  return kernel;
}

}  // namespace incipit
