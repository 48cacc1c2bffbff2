#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class RmsNormBinding {
 public:
  RmsNormBinding(const RmsNorm::Problem& problem, StepOperands& operands) {
    input_ = operands.input("input", DType::f32, problem.width);
    addend_ = operands.input_if(problem.add, "addend", DType::f32, problem.width);
    operands.require(problem.groups > 0 && problem.width % problem.groups == 0, "has groups that do not fit its width");
    gain_ = operands.floats_if(problem.gain, "gain", problem.group_width());
    output_ = operands.output("output", problem.output, problem.width);
    scales_ = operands.output_if(problem.output == DType::i8, "output scales", DType::f32, 1);
    sum_ = operands.output_if(problem.add, "sum", DType::f32, problem.width);
    operands.require(!problem.add || sum_.whole == output_.whole, "has a whole and a partial result");
  }

  void bind(const StepView& view, RmsNorm::Args& args) const {
    args.input = input_.data_as<float>(view);
    args.input_stride = input_.stride;
    args.addend = addend_.data_as<float>(view);
    args.addend_stride = addend_.stride;
    args.gain = gain_;
    args.sum = sum_.data_as<float>(view);
    args.sum_stride = sum_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.output_scales = scales_.data_as<float>(view);
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, addend_, output_, scales_, sum_;
  const float* gain_;
};

}  // namespace

std::unique_ptr<Step> resolve_rms_norm(const StepSource& source) {
  return std::make_unique<FamilyStep<RmsNorm, RmsNormBinding>>(source);
}

}  // namespace incipit
