#include "kernels/expert_weight.h"
#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void ExpertLinear::reference(const Problem& problem, const Args& args, const WeightLayout& layout) {
  const Linear::Problem one{problem.n,      problem.k,    problem.format, problem.input,
                            problem.output, problem.bias, false,          problem.activation};
  const auto input_bytes = static_cast<int64_t>(size_of(problem.input));
  const auto output_bytes = static_cast<int64_t>(size_of(problem.output));
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t slot = 0; slot < problem.top_k; ++slot) {
      const int32_t expert = args.expert[row * args.expert_stride + slot];
      if (expert < 0 || expert >= problem.experts) continue;
      const int64_t input_slot = problem.shared ? 0 : slot;
      Linear::Args linear{};
      linear.rows = 1;
      linear.input = args.input + (row * args.input_stride + input_slot * problem.k) * input_bytes;
      if (problem.input == DType::i8)
        linear.input_scales = args.input_scales + row * args.input_scale_stride + (problem.slot_scales ? slot : 0);
      linear.weight = expert_weight(args.weight, layout, problem.weight(), expert);
      linear.bias = expert_bias(args.bias, layout, problem.weight(), expert);
      linear.output = args.output + (row * args.output_stride + slot * problem.output_width()) * output_bytes;
      Linear::reference(one, linear, layout);
    }
    if (args.pad_output) {
      pad_row(args.output, row, problem.slots_width(), args.output_stride, size_of(problem.output));
    }
  }
}

}  // namespace incipit
