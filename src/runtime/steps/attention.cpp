#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class AttentionBinding {
 public:
  AttentionBinding(const Attention::Problem& problem, StepOperands& operands) {
    operands.require_axis(problem.over_rows ? plan::Axis::rows : plan::Axis::tokens);
    operands.require(problem.kv_heads > 0 && problem.heads > 0 && problem.heads % problem.kv_heads == 0,
                     "has heads that its key heads do not divide");
    const int64_t width = int64_t{problem.heads} * problem.head_dim;
    query_ = operands.input("query", problem.query, width);
    cache_ = operands.cache_input("cache", problem.geometry());
    operands.require_window(cache_, problem.window);
    table_ = operands.rotary_table_input(problem.rotary_pairs, problem.head_dim);
    slopes_ = operands.floats_if(problem.slopes, "slopes", problem.heads);
    sinks_ = operands.floats_if(problem.sinks, "sinks", problem.heads);
    output_ = operands.output("output", problem.output, width);
  }

  void bind(const StepView& view, Attention::Args& args) const {
    args.spans = view.spans;
    args.cache = cache_.cache(view);
    args.positions = view.row_positions;
    args.query = query_.data(view);
    args.query_stride = query_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.workspace = view.workspace;
    args.workspace_bytes = static_cast<int64_t>(view.workspace_bytes);
    args.workers = view.workers;
    args.pad_output = output_.whole;
    args.table = table_.data_as<float>(view);
    args.table_stride = table_.stride;
    args.slopes = slopes_;
    args.sinks = sinks_;
  }

 private:
  BufferView query_, table_, output_;
  CacheView cache_;
  const float *slopes_, *sinks_;
};

}  // namespace

std::unique_ptr<Step> resolve_attention(const StepSource& source) {
  return std::make_unique<FamilyStep<Attention, AttentionBinding>>(source);
}

}  // namespace incipit
