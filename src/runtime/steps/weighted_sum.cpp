#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class WeightedSumBinding {
 public:
  WeightedSumBinding(const WeightedSum::Problem& problem, StepOperands& operands) {
    input_ = operands.input("input", DType::f32, int64_t{problem.width} * problem.slots);
    weight_ = operands.input("weights", DType::f32, problem.slots);
    residual_ = operands.input_if(problem.residual, "residual", DType::f32, problem.width);
    output_ = operands.output("output", DType::f32, problem.width);
  }

  void bind(const StepView& view, WeightedSum::Args& args) const {
    args.input = input_.data_as<float>(view);
    args.input_stride = input_.stride;
    args.weight = weight_.data_as<float>(view);
    args.weight_stride = weight_.stride;
    args.residual = residual_.data_as<float>(view);
    args.residual_stride = residual_.stride;
    args.output = output_.data_as<float>(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, weight_, residual_, output_;
};

}  // namespace

std::unique_ptr<Step> resolve_weighted_sum(const StepSource& source) {
  return std::make_unique<FamilyStep<WeightedSum, WeightedSumBinding>>(source);
}

}  // namespace incipit
