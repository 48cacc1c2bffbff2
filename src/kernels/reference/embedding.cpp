#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void Embedding::reference(const Problem& problem, const Args& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t column = 0; column < problem.width; ++column) {
      const float value = load_element(problem.table, args.table, int64_t{args.ids[row]} * problem.width + column);
      store_element(problem.output, args.output, row * args.output_stride + column, value * problem.scale);
    }
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
