#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class LayerNormBinding {
 public:
  LayerNormBinding(const LayerNorm::Problem& problem, StepOperands& operands) {
    input_ = operands.input("input", DType::f32, problem.width);
    operands.require(problem.groups > 0 && problem.width % problem.groups == 0, "has groups that do not fit its width");
    gain_ = operands.floats_if(problem.gain, "gain", problem.width);
    bias_ = operands.floats_if(problem.bias, "bias", problem.width);
    output_ = operands.output("output", problem.output, problem.width);
    scales_ = operands.output_if(problem.output == DType::i8, "output scales", DType::f32, 1);
  }

  void bind(const StepView& view, LayerNorm::Args& args) const {
    args.input = input_.data_as<float>(view);
    args.input_stride = input_.stride;
    args.gain = gain_;
    args.bias = bias_;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.output_scales = scales_.data_as<float>(view);
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, output_, scales_;
  const float *gain_, *bias_;
};

}  // namespace

std::unique_ptr<Step> resolve_layer_norm(const StepSource& source) {
  return std::make_unique<FamilyStep<LayerNorm, LayerNormBinding>>(source);
}

}  // namespace incipit
