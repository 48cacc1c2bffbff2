#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void GatherRows::reference(const Problem& problem, const Args& args) {
  const size_t size = size_of(problem.dtype);
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t column = 0; column < problem.width; ++column) {
      std::memcpy(args.output + static_cast<size_t>(row * args.output_stride + column) * size,
                  args.input + static_cast<size_t>(args.index[row] * args.input_stride + column) * size, size);
    }
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size);
  }
}

}  // namespace incipit
