#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void PackedEmbedding::reference(const Problem& problem, const Args& args) {
  const PackedShape shape = packed_shape(problem.format, problem.vocabulary, problem.width, false);
  const int32_t group = packing_group(problem.format);
  for (int64_t row = 0; row < args.rows; ++row) {
    const int64_t id = args.ids[row];
    const std::byte* panel = args.table.panels + id / panel_width * shape.panel_bytes;
    for (int64_t column = 0; column < problem.width; ++column) {
      const int64_t element = (column / group * panel_width + id % panel_width) * group + column % group;
      const float value = problem.format == WeightFormat::i8
                              ? reinterpret_cast<const int8_t*>(panel)[element] * args.table.scales[id]
                              : load_element(element_dtype(problem.format), panel, element);
      args.output[row * args.output_stride + column] = value * problem.scale;
    }
    if (args.pad_output) {
      pad_row(reinterpret_cast<std::byte*>(args.output), row, problem.width, args.output_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
