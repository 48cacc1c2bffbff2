#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class ExpertLinearBinding {
 public:
  ExpertLinearBinding(const ExpertLinear::Problem& problem, StepOperands& operands) {
    input_ = operands.input("input", problem.input, problem.input_width());
    if (problem.input == DType::i8) {
      scales_ = operands.input("input scales", DType::f32, problem.slot_scales ? problem.top_k : 1);
    }
    expert_ = operands.input("experts", DType::i32, problem.top_k);
    operands.require(problem.experts > 0, "has no experts");
    weight_ = operands.packed_input("weight", problem.weight(), problem.bias, problem.experts);
    output_ = operands.output("output", problem.output, problem.slots_width());
  }

  void bind(const StepView& view, ExpertLinear::Args& args) const {
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.input_scales = scales_.data_as<float>(view);
    args.input_scale_stride = scales_.stride;
    args.expert = expert_.data_as<int32_t>(view);
    args.expert_stride = expert_.stride;
    args.weight = weight_.weight;
    args.bias = weight_.bias;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView input_, scales_, expert_, output_;
  PackedView weight_;
};

}  // namespace

std::unique_ptr<Step> resolve_expert_linear(const StepSource& source) {
  return std::make_unique<FamilyStep<ExpertLinear, ExpertLinearBinding>>(source);
}

}  // namespace incipit
