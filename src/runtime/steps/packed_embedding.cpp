#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class PackedEmbeddingBinding {
 public:
  PackedEmbeddingBinding(const PackedEmbedding::Problem& problem, StepOperands& operands) {
    operands.require_axis(plan::Axis::tokens);
    operands.require_vocabulary(problem.vocabulary);
    operands.input_space("ids", plan::Space::ids);
    table_ = operands.packed_input("table", problem.weight(), false).weight;
    output_ = operands.output("rows", DType::f32, problem.width);
  }

  void bind(const StepView& view, PackedEmbedding::Args& args) const {
    args.ids = view.ids;
    args.table = table_;
    args.output = output_.data_as<float>(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  PackedWeight table_;
  BufferView output_;
};

}  // namespace

std::unique_ptr<Step> resolve_packed_embedding(const StepSource& source) {
  return std::make_unique<FamilyStep<PackedEmbedding, PackedEmbeddingBinding>>(source);
}

}  // namespace incipit
