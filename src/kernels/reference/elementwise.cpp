#include <cmath>
#include <cstring>

#include "base/xielu.h"
#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void Elementwise::reference(const Problem& problem, const Args& args) {
  XieluCurve curve{};
  if (problem.op == ElementwiseOp::xielu) std::memcpy(&curve, args.second, sizeof curve);
  for (int64_t row = 0; row < args.rows; ++row) {
    const int64_t second_row = problem.row_vector ? 0 : row;
    for (int64_t column = 0; column < problem.width; ++column) {
      const double first = load_element(problem.first, args.first, row * args.first_stride + column);
      const auto second = [&]() -> double {
        return load_element(problem.second, args.second, second_row * args.second_stride + column);
      };
      double value = 0;
      switch (problem.op) {
        case ElementwiseOp::copy: value = first; break;
        case ElementwiseOp::add: value = first + second(); break;
        case ElementwiseOp::multiply: value = first * second(); break;
        case ElementwiseOp::activate: value = activate(problem.activation, first); break;
        case ElementwiseOp::gate: value = activate(problem.activation, first) * second(); break;
        case ElementwiseOp::scale: value = first * problem.factor; break;
        case ElementwiseOp::xielu: value = xielu(curve, first); break;
        case ElementwiseOp::soft_cap: value = soft_capped<double>(first, problem.factor); break;
      }
      store_element(problem.output, args.output, row * args.output_stride + column, static_cast<float>(value));
    }
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
