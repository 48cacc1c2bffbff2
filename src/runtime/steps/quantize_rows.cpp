#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class QuantizeRowsBinding {
 public:
  QuantizeRowsBinding(const QuantizeRows::Problem& problem, StepOperands& operands) {
    input_ = operands.input("input", problem.input, problem.width);
    codes_ = operands.output("codes", DType::i8, problem.width);
    scales_ = operands.output("scales", DType::f32, problem.groups);
  }

  void bind(const StepView& view, QuantizeRows::Args& args) const {
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.output = codes_.data_as<int8_t>(view);
    args.output_stride = codes_.stride;
    args.scales = scales_.data_as<float>(view);
    args.pad_output = codes_.whole;
    args.scale_stride = scales_.stride;
  }

 private:
  BufferView input_, codes_, scales_;
};

}  // namespace

std::unique_ptr<Step> resolve_quantize_rows(const StepSource& source) {
  return std::make_unique<FamilyStep<QuantizeRows, QuantizeRowsBinding>>(source);
}

}  // namespace incipit
