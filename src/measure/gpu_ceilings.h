// What a GPU can do at most, measured by the code that an engine carries: nothing is compiled to run one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/device.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "measure/ceilings.h"

namespace incipit {

class Engine;
namespace plan {
struct Plan;
}

/// A product whose speed on large operands stands for what the device can do.
struct Yardstick {
  Linear::Problem problem;
  const Kernel<Linear>* kernel = nullptr;
  const KernelConfig* config = nullptr;
};

/// The plan's products in each of their kernels, one for each function; n and k are to be set.
std::vector<Yardstick> yardsticks_of(const plan::Plan& plan);

/// Larger than any cache, and long enough to hide what a launch costs.
struct YardstickSizes {
  int32_t extent = 8192;                    // rows, n and k of a product
  size_t copied_bytes = size_t{1} << 30;    // by one copy
  size_t weight_bytes = size_t{512} << 20;  // read by a product of one row
  double seconds = 0.2;                     // of each product that counts
};

/// Of products: the fastest of each arithmetic on random numbers, at its best. f16 has the rate of bf16, as the units
/// that multiply them are the same. Of memory: the larger of copies, whose bytes are those read and those written, and
/// of products of one row. Some seconds. Leaves those yardsticks that were fastest, for another time.
Ceilings measure_by_products(Device& device, std::vector<Yardstick>& yardsticks, const YardstickSizes& sizes);

/// On the GPU that the engine is for, beside whatever runs there. Throws Error where too little of its memory is free.
Ceilings measure_gpu_ceilings(const Engine& engine, std::vector<Yardstick>& yardsticks);

}  // namespace incipit
