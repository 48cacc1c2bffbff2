#include <vector>

#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void QuantizeRows::reference(const Problem& problem, const Args& args) {
  const auto width = static_cast<size_t>(problem.group_width());
  std::vector<float> values(width);
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t group = 0; group < problem.groups; ++group) {
      const int64_t first = group * problem.group_width();
      for (size_t i = 0; i < width; ++i) {
        values[i] = load_element(problem.input, args.input, row * args.input_stride + first + static_cast<int64_t>(i));
      }
      args.scales[row * args.scale_stride + group] =
          quantize_row(values, args.output + row * args.output_stride + first);
    }
    if (args.pad_output) pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, 1);
  }
}

}  // namespace incipit
