#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class GatherRowsBinding {
 public:
  GatherRowsBinding(const GatherRows::Problem& problem, StepOperands& operands) {
    operands.require_axis(plan::Axis::rows);
    input_ = operands.token_input("input", problem.dtype, problem.width);
    operands.input_space("rows", plan::Space::rows);
    output_ = operands.output("output", problem.dtype, problem.width);
  }

  void bind(const StepView& view, GatherRows::Args& args) const {
    args.index = view.row_tokens;
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, output_;
};

}  // namespace

std::unique_ptr<Step> resolve_gather_rows(const StepSource& source) {
  return std::make_unique<FamilyStep<GatherRows, GatherRowsBinding>>(source);
}

}  // namespace incipit
