// Elementwise (kernels/families.h): a thread has 8 columns of a row. FIRST, SECOND and OUTPUT are the types of
// elements, OPERATION is the operation's name, ACTIVATION that of an activation.
#include "base/activation.h"
#include "base/xielu.h"
#include "kernels/cuda/elementwise_params.h"
#include "kernels/cuda/row_access.cuh"

namespace incipit::operations {

constexpr Activation activation = Activation::ACTIVATION;

// What each operation makes of elements; `second` is there where it is binary.
struct copy {
  static constexpr bool binary = false;
  static float of(float first, float, const ElementwiseParams&) { return first; }
};
struct add {
  static constexpr bool binary = true;
  static float of(float first, float second, const ElementwiseParams&) { return first + second; }
};
struct multiply {
  static constexpr bool binary = true;
  static float of(float first, float second, const ElementwiseParams&) { return first * second; }
};
struct activate {
  static constexpr bool binary = false;
  static float of(float first, float, const ElementwiseParams&) { return incipit::activate<float>(activation, first); }
};
struct gate {
  static constexpr bool binary = true;
  static float of(float first, float second, const ElementwiseParams&) {
    return incipit::activate<float>(activation, first) * second;
  }
};
struct scale {
  static constexpr bool binary = false;
  static float of(float first, float, const ElementwiseParams& params) { return first * params.factor; }
};
struct soft_cap {
  static constexpr bool binary = false;
  static float of(float first, float, const ElementwiseParams& params) { return soft_capped(first, params.factor); }
};
struct xielu {
  static constexpr bool binary = false;
  static float of(float first, float, const ElementwiseParams& params) {
    return incipit::xielu(*static_cast<const XieluCurve*>(params.second), first);
  }
};

}  // namespace incipit::operations

using namespace incipit;
using Operation = operations::OPERATION;

extern "C" __global__ void elementwise(const __grid_constant__ ElementwiseParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  const auto column = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x) * 8;
  float first[8], second[8] = {}, values[8];
  load_columns(static_cast<const FIRST*>(params.first) + row * params.first_stride, column, params.width,
               params.aligned, first);
  if constexpr (Operation::binary) {
    load_columns(static_cast<const SECOND*>(params.second) + row * params.second_stride, column, params.width,
                 params.aligned, second);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = Operation::of(first[i], second[i], params);
  store_floats(static_cast<OUTPUT*>(params.output) + row * params.output_stride, column, params.width,
               params.padded_width, params.aligned, values);
}
