#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class RotaryTableBinding {
 public:
  RotaryTableBinding(const RotaryTable::Problem& problem, StepOperands& operands) : axis_(operands.axis()) {
    operands.input_space("positions",
                         axis_ == plan::Axis::tokens ? plan::Space::positions : plan::Space::row_positions);
    operands.require(problem.growth_length > 0, "has a growth without a length");
    frequencies_ = operands.dense_input("inverse frequencies", DType::f32, problem.pairs);
    output_ = operands.output("output", DType::f32, int64_t{2} * problem.pairs);
  }

  void bind(const StepView& view, RotaryTable::Args& args) const {
    args.positions = axis_ == plan::Axis::tokens ? view.positions : view.row_positions;
    args.inverse_frequencies = reinterpret_cast<const float*>(frequencies_);
    args.output = output_.data_as<float>(view);
    args.output_stride = output_.stride;
  }

 private:
  plan::Axis axis_;
  const std::byte* frequencies_;
  BufferView output_;
};

}  // namespace

std::unique_ptr<Step> resolve_rotary_table(const StepSource& source) {
  return std::make_unique<FamilyStep<RotaryTable, RotaryTableBinding>>(source);
}

}  // namespace incipit
