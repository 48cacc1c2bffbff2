#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class RotaryBinding {
 public:
  RotaryBinding(const Rotary::Problem& problem, StepOperands& operands) {
    const int64_t width = int64_t{problem.heads} * problem.head_dim;
    input_ = operands.input("input", problem.input, width);
    table_ = operands.rotary_table_input(problem.pairs, problem.head_dim);
    output_ = operands.output("output", problem.output, width);
  }

  void bind(const StepView& view, Rotary::Args& args) const {
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.table = table_.data_as<float>(view);
    args.table_stride = table_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, table_, output_;
};

}  // namespace

std::unique_ptr<Step> resolve_rotary(const StepSource& source) {
  return std::make_unique<FamilyStep<Rotary, RotaryBinding>>(source);
}

}  // namespace incipit
