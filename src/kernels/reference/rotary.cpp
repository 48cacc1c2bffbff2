#include <vector>

#include "kernels/families.h"
#include "kernels/reference/rotated.h"

namespace incipit {

void Rotary::reference(const Problem& problem, const Args& args) {
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  std::vector<float> rotated(static_cast<size_t>(problem.head_dim));
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t head = 0; head < problem.heads; ++head) {
      const int64_t in = row * args.input_stride + head * problem.head_dim;
      const int64_t out = row * args.output_stride + head * problem.head_dim;
      load_rotated(problem.input, args.input, in, args.table + row * args.table_stride, problem.pairs,
                   problem.interleaved, rotated);
      for (int64_t dim = 0; dim < problem.head_dim; ++dim) {
        store_element(problem.output, args.output, out + dim, rotated[static_cast<size_t>(dim)]);
      }
    }
    if (args.pad_output) pad_row(args.output, row, width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
