#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class KvWriteBinding {
 public:
  KvWriteBinding(const KvWrite::Problem& problem, StepOperands& operands) {
    operands.require_axis(plan::Axis::tokens);
    const int64_t width = int64_t{problem.kv_heads} * problem.head_dim;
    keys_ = operands.input("keys", problem.input, width);
    values_ = operands.input("values", problem.input, width);
    cache_ = operands.cache_input("cache", problem.geometry());
    table_ = operands.rotary_table_input(problem.rotary_pairs, problem.head_dim);
  }

  void bind(const StepView& view, KvWrite::Args& args) const {
    args.spans = view.spans;
    args.cache = cache_.cache(view);
    args.keys = keys_.data(view);
    args.key_stride = keys_.stride;
    args.values = values_.data(view);
    args.value_stride = values_.stride;
    args.table = table_.data_as<float>(view);
    args.table_stride = table_.stride;
  }

 private:
  BufferView keys_, values_, table_;
  CacheView cache_;
};

}  // namespace

std::unique_ptr<Step> resolve_kv_write(const StepSource& source) {
  return std::make_unique<FamilyStep<KvWrite, KvWriteBinding>>(source);
}

}  // namespace incipit
