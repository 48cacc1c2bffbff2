#include <optional>

#include "kernels/families.h"
#include "runtime/steps/family_step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

class LinearBinding {
 public:
  LinearBinding(const Linear::Problem& problem, StepOperands& operands) {
    operands.require(problem.fits_kv(), "has keys and values that no product writes");
    input_ = operands.whole_input("input", problem.input, problem.k);
    if (problem.input == DType::i8) scales_ = operands.whole_input("input scales", DType::f32, 1);
    const PackedView packed = operands.packed_input("weight", problem.weight(), problem.bias);
    weight_ = packed.weight;
    bias_ = packed.bias;
    residual_ = operands.input_if(problem.residual, "residual", DType::f32, problem.output_width());
    if (problem.kv.any()) {
      operands.require_axis(plan::Axis::tokens);
      cache_ = operands.cache_input("cache", problem.kv.geometry());
      table_ = operands.rotary_table_input(problem.kv.rotary_pairs, problem.kv.head_dim);
    }
    if (problem.norm.any) unnormed_ = operands.whole_input("input before its norm", DType::f32, problem.k);
    output_ = operands.output_if(problem.output_width() > 0, "output", problem.output, problem.output_width());
    const bool is_aligned = output_.first_byte % 16 == 0 && table_.first_byte % 16 == 0;
    operands.require(is_aligned || !cache_, "writes keys and values beside columns that are not aligned");
  }

  void bind(const StepView& view, Linear::Args& args) const {
    args.input = input_.data(view);
    args.input_stride = input_.stride;
    args.input_scales = scales_.data_as<float>(view);
    args.weight = weight_;
    args.bias = bias_;
    args.residual = residual_.data_as<float>(view);
    args.residual_stride = residual_.stride;
    args.output = output_.data(view);
    args.output_stride = output_.stride;
    args.pad_output = output_.whole;
    args.unnormed = unnormed_.data_as<float>(view);
    args.unnormed_stride = unnormed_.stride;
    if (!cache_) return;
    args.kv.spans = view.spans;
    args.kv.cache = cache_->cache(view);
    args.kv.table = table_.data_as<float>(view);
    args.kv.table_stride = table_.stride;
  }

 private:
  BufferView input_, scales_, residual_, output_, table_, unnormed_;
  std::optional<CacheView> cache_;
  PackedWeight weight_;
  const float* bias_;
};

}  // namespace

std::unique_ptr<Step> resolve_linear(const StepSource& source) {
  return std::make_unique<FamilyStep<Linear, LinearBinding>>(source);
}

}  // namespace incipit
