#include "kernels/families.h"
#include "kernels/packing.h"
#include "kernels/reference/elements.h"

namespace incipit {

void PackedEmbedding::reference(const Problem& problem, const Args& args, const WeightLayout& layout) {
  const WeightReader table(layout, problem.weight(), args.table);
  for (int64_t row = 0; row < args.rows; ++row) {
    float* to = args.output + row * args.output_stride;
    table.read(args.ids[row], to);
    for (int64_t column = 0; column < problem.width; ++column) to[column] *= problem.scale;
    if (args.pad_output) {
      pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
