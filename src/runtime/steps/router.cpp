#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class RouterBinding {
 public:
  RouterBinding(const Router::Problem& problem, StepOperands& operands) {
    logits_ = operands.input("logits", DType::f32, problem.experts);
    correction_ = operands.floats_if(problem.correction, "correction", problem.experts);
    expert_ = operands.output("experts", DType::i32, problem.top_k);
    weight_ = operands.output("weights", DType::f32, problem.top_k);
    operands.require(expert_.whole == weight_.whole, "has a whole and a partial result");
  }

  void bind(const StepView& view, Router::Args& args) const {
    args.logits = logits_.data_as<float>(view);
    args.logit_stride = logits_.stride;
    args.expert = expert_.data_as<int32_t>(view);
    args.expert_stride = expert_.stride;
    args.weight = weight_.data_as<float>(view);
    args.weight_stride = weight_.stride;
    args.pad_output = expert_.whole;
    args.correction = correction_;
  }

 private:
  BufferView logits_, expert_, weight_;
  const float* correction_;
};

}  // namespace

std::unique_ptr<Step> resolve_router(const StepSource& source) {
  return std::make_unique<FamilyStep<Router, RouterBinding>>(source);
}

}  // namespace incipit
