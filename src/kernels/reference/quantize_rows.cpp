#include <cmath>

#include "kernels/families.h"
#include "kernels/reference/elements.h"
#include "kernels/reference/quantize.h"

namespace incipit {

void QuantizeRows::reference(const Problem& problem, const Args& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    float largest = 0;
    for (int64_t column = 0; column < problem.width; ++column) {
      largest = std::max(largest, std::abs(load_element(problem.input, args.input, row * args.input_stride + column)));
    }
    const float scale = quantization_scale(largest);
    args.scales[row] = scale;
    for (int64_t column = 0; column < problem.width; ++column) {
      const float value = load_element(problem.input, args.input, row * args.input_stride + column);
      args.output[row * args.output_stride + column] = quantize(value, scale);
    }
    if (args.pad_output) pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, 1);
  }
}

}  // namespace incipit
