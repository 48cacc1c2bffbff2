#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class AttentionBinding {
 public:
  AttentionBinding(const Attention::Problem& problem, StepOperands& operands)
      : axis_(operands.axis()), kv_heads_(problem.kv_heads) {
    operands.require_axis(problem.over_rows ? plan::Axis::rows : plan::Axis::tokens);
    operands.require(problem.kv_heads > 0 && problem.heads > 0 && problem.heads % problem.kv_heads == 0,
                     "has heads that its key heads do not divide");
    const int64_t width = int64_t{problem.heads} * problem.head_dim;
    query_ = operands.input("query", problem.query, width);
    cache_ = operands.cache_input("cache", problem.geometry());
    operands.require_window(cache_, problem.window);
    table_ = operands.rotary_table_input(problem.rotary_pairs, problem.head_dim);
    output_ = operands.output("output", problem.output, width);
  }

  void bind(const BatchView& batch, Attention::Args& args) const {
    args.sequences = batch.sequences;
    args.spans = batch.spans;
    args.cache = cache_.cache(batch);
    args.positions = batch.row_positions;
    args.query = query_.data(batch);
    args.query_stride = query_.stride;
    args.output = output_.data(batch);
    args.output_stride = output_.stride;
    args.rows = rows_on(axis_, batch);
    args.workspace = batch.workspace;
    args.workspace_bytes = static_cast<int64_t>(batch.workspace_bytes);
    args.split_above = split_above(batch);
    // No entry is without a token, but some may be without a sampled row.
    args.single_queries =
        axis_ == plan::Axis::tokens && batch.tokens == batch.sequences && args.split_above == INT32_MAX;
    args.pad_output = output_.whole;
    args.table = table_.data_as<float>(batch);
    args.table_stride = table_.stride;
  }

 private:
  /// A tile of more than a quarter of a worker's share of the step would keep the others waiting.
  int32_t split_above(const BatchView& batch) const {
    const int64_t contexts = axis_ == plan::Axis::tokens ? batch.token_contexts : batch.row_contexts;
    const int64_t quarter = contexts * kv_heads_ / (4 * int64_t{batch.workers});
    return batch.workers == 1 || batch.longest_context <= quarter ? INT32_MAX : static_cast<int32_t>(quarter);
  }

  plan::Axis axis_;
  int32_t kv_heads_;
  BufferView query_, table_, output_;
  CacheView cache_;
};

}  // namespace

std::unique_ptr<Step> resolve_attention(const StepSource& source) {
  return std::make_unique<FamilyStep<Attention, AttentionBinding>>(source);
}

}  // namespace incipit
