#include <cmath>

#include "base/codes.h"
#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void QuantizeRows::reference(const Problem& problem, const Args& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t group = 0; group < problem.groups; ++group) {
      const int64_t begin = group * problem.group_width(), end = begin + problem.group_width();
      const auto value = [&](int64_t column) {
        return load_element(problem.input, args.input, row * args.input_stride + column);
      };
      float largest = 0;
      for (int64_t column = begin; column < end; ++column) largest = std::fmax(largest, std::abs(value(column)));
      const float scale = code_scale(largest);
      args.scales[row * args.scale_stride + group] = scale;
      for (int64_t column = begin; column < end; ++column) {
        args.output[row * args.output_stride + column] = code_of(value(column), scale);
      }
    }
    if (args.pad_output) pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, 1);
  }
}

}  // namespace incipit
