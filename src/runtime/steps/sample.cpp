#include "kernels/sampling.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class SampleBinding {
 public:
  SampleBinding(const Sample::Problem& problem, StepOperands& operands) : logits_(operands.logits()) {
    operands.require_axis(plan::Axis::rows);
    operands.require_vocabulary(problem.vocabulary);
  }

  void bind(const StepView& view, Sample::Args& args) const {
    args.spans = view.spans;
    args.row_sequence = view.row_sequence;
    args.row_positions = view.row_positions;
    args.logits = logits_.data_as<float>(view);
    args.logits_stride = logits_.stride;
    args.masks = view.masks;
    args.row_masked = view.row_masked;
    args.slots = view.slots;
    args.output = view.samples;
  }

 private:
  BufferView logits_;
};

}  // namespace

std::unique_ptr<Step> resolve_sample(const StepSource& source) {
  return std::make_unique<FamilyStep<Sample, SampleBinding>>(source);
}

}  // namespace incipit
