#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

bool takes_two(ElementwiseOp op) {
  return op == ElementwiseOp::add || op == ElementwiseOp::multiply || op == ElementwiseOp::gate ||
         op == ElementwiseOp::xielu;
}

class ElementwiseBinding {
 public:
  ElementwiseBinding(const Elementwise::Problem& problem, StepOperands& operands) {
    first_ = operands.input("first", problem.first, problem.width);
    const bool two = takes_two(problem.op);
    operands.require(two || !problem.row_vector, "has a row vector that its operation does not take");
    operands.require(problem.op != ElementwiseOp::xielu || (problem.row_vector && problem.second == DType::f32),
                     "has no curve");
    if (problem.row_vector) {
      row_vector_ = operands.dense_input("second", problem.second, problem.second_width());
    } else {
      second_ = operands.input_if(two, "second", problem.second, problem.width);
    }
    output_ = operands.output("output", problem.output, problem.width);
  }

  void bind(const StepView& view, Elementwise::Args& args) const {
    args.first = first_.data(view);
    args.first_stride = first_.stride;
    args.second = row_vector_ != nullptr ? row_vector_ : second_.data(view);
    args.second_stride = second_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  BufferView first_, second_, output_;
  const std::byte* row_vector_ = nullptr;
};

}  // namespace

std::unique_ptr<Step> resolve_elementwise(const StepSource& source) {
  return std::make_unique<FamilyStep<Elementwise, ElementwiseBinding>>(source);
}

}  // namespace incipit
