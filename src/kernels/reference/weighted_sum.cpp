#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void WeightedSum::reference(const Problem& problem, const Args& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t column = 0; column < problem.width; ++column) {
      double sum = 0;
      for (int64_t slot = 0; slot < problem.slots; ++slot) {
        sum += static_cast<double>(args.weight[row * args.weight_stride + slot]) *
               args.input[row * args.input_stride + slot * problem.width + column];
      }
      if (problem.residual) sum += args.residual[row * args.residual_stride + column];
      args.output[row * args.output_stride + column] = static_cast<float>(sum);
    }
    if (args.pad_output) {
      pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
