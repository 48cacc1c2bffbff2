// The code of a GPU's engine: a table of functions, as lines of text, and their binaries behind it.
//
//   cuda sm_90a
//   gather_rows ELEMENT=uint16_t | abi=1 cubin=5312 ptx=0
//
// An empty line ends the table. The binaries follow in its order, each at a multiple of 64 bytes of the whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "kernels/device_function.h"

namespace incipit {

/// "sm_90a": what code is compiled for. The a takes what Hopper alone has; the code runs there and nowhere else.
std::string cuda_architecture(const Target& target);

struct CudaBinary {
  DeviceFunction function;
  std::span<const std::byte> cubin;
  std::span<const std::byte> ptx;  // empty: none; ends with a zero byte
};

struct CudaCode {
  Target target;
  std::vector<CudaBinary> functions;
};

std::vector<std::byte> write_cuda_code(const CudaCode& code);
/// A view of `bytes`. Throws Error where they are no such table.
CudaCode read_cuda_code(std::span<const std::byte> bytes);

}  // namespace incipit
