#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void Rotary::reference(const Problem& problem, const Args& args) {
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* cosines = args.table + row * args.table_stride;
    const float* sines = cosines + problem.pairs;
    for (int64_t head = 0; head < problem.heads; ++head) {
      const int64_t in = row * args.input_stride + head * problem.head_dim;
      const int64_t out = row * args.output_stride + head * problem.head_dim;
      for (int64_t i = 0; i < problem.pairs; ++i) {
        const int64_t a = problem.interleaved ? 2 * i : i;
        const int64_t b = problem.interleaved ? 2 * i + 1 : problem.pairs + i;
        const double x = load_element(problem.input, args.input, in + a);
        const double y = load_element(problem.input, args.input, in + b);
        store_element(problem.output, args.output, out + a, static_cast<float>(x * cosines[i] - y * sines[i]));
        store_element(problem.output, args.output, out + b, static_cast<float>(y * cosines[i] + x * sines[i]));
      }
      for (int64_t dim = 2 * int64_t{problem.pairs}; dim < problem.head_dim; ++dim) {
        store_element(problem.output, args.output, out + dim, load_element(problem.input, args.input, in + dim));
      }
    }
    if (args.pad_output) pad_row(args.output, row, width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
