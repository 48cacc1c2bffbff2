#include "kernels/sampling.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class ResolveTokensBinding {
 public:
  ResolveTokensBinding(const ResolveTokens::Problem& problem, StepOperands& operands) {
    operands.require_axis(plan::Axis::tokens);
    operands.require_vocabulary(problem.vocabulary);
  }

  void bind(const StepView& view, ResolveTokens::Args& args) const {
    args.spans = view.spans;
    args.source = view.source;
    args.slots = view.slots;
    args.ids = view.ids;
  }
};

}  // namespace

std::unique_ptr<Step> resolve_resolve_tokens(const StepSource& source) {
  return std::make_unique<FamilyStep<ResolveTokens, ResolveTokensBinding>>(source);
}

}  // namespace incipit
