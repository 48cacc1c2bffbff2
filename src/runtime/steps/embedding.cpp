#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class EmbeddingBinding {
 public:
  EmbeddingBinding(const Embedding::Problem& problem, StepOperands& operands) : space_(operands.next_space()) {
    operands.require_axis(space_ == plan::Space::row_positions ? plan::Axis::rows : plan::Axis::tokens);
    if (space_ == plan::Space::positions || space_ == plan::Space::row_positions) {
      operands.require_positions(problem.vocabulary);
      operands.input_space("ids", space_);
    } else {
      operands.require_vocabulary(problem.vocabulary);
      operands.input_space("ids", plan::Space::ids);
    }
    table_ = operands.dense_input("table", problem.table, int64_t{problem.vocabulary} * problem.width);
    output_ = operands.output("rows", problem.output, problem.width);
  }

  void bind(const StepView& view, Embedding::Args& args) const {
    args.ids = space_ == plan::Space::positions       ? view.positions
               : space_ == plan::Space::row_positions ? view.row_positions
                                                      : view.ids;
    args.table = table_;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
  }

 private:
  plan::Space space_;
  const std::byte* table_;
  BufferView output_;
};

}  // namespace

std::unique_ptr<Step> resolve_embedding(const StepSource& source) {
  return std::make_unique<FamilyStep<Embedding, EmbeddingBinding>>(source);
}

}  // namespace incipit
