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

  void bind(const BatchView& batch, Sample::Args& args) const {
    args.rows = batch.rows;
    args.sequences = batch.sequences;
    args.spans = batch.spans;
    args.row_sequence = batch.row_sequence;
    args.row_positions = batch.row_positions;
    args.logits = logits_.data_as<float>(batch);
    args.logits_stride = logits_.stride;
    args.masks = batch.masks;
    args.row_masked = batch.row_masked;
    args.slots = batch.slots;
    args.output = batch.samples;
  }

 private:
  BufferView logits_;
};

}  // namespace

std::unique_ptr<Step> resolve_sample(const StepSource& source) {
  return std::make_unique<FamilyStep<Sample, SampleBinding>>(source);
}

}  // namespace incipit
