#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class LinearBinding {
 public:
  LinearBinding(const Linear::Problem& problem, StepOperands& operands) {
    input_ = operands.whole_input("input", problem.input, problem.k);
    if (problem.input == DType::i8) scales_ = operands.whole_input("input scales", DType::f32, 1);
    const PackedView packed =
        operands.packed_input("weight", problem.weight(), is_gated(problem.activation), problem.bias);
    weight_ = packed.weight;
    bias_ = packed.bias;
    residual_ = operands.input_if(problem.residual, "residual", DType::f32, problem.output_width());
    output_ = operands.output("output", problem.output, problem.output_width());
  }

  void bind(const StepView& view, Linear::Args& args) const {
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.input_scales = scales_.data_as<float>(view);
    args.weight = weight_;
    args.bias = bias_;
    args.residual = residual_.data_as<float>(view);
    args.residual_stride = residual_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, scales_, residual_, output_;
  PackedWeight weight_;
  const float* bias_;
};

}  // namespace

std::unique_ptr<Step> resolve_linear(const StepSource& source) {
  return std::make_unique<FamilyStep<Linear, LinearBinding>>(source);
}

}  // namespace incipit
