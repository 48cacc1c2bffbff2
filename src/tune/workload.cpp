#include "tune/workload.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/kv_pages.h"
#include "tune/evict.h"

namespace incipit {
namespace {

constexpr int64_t cold_bytes = int64_t{96} << 20;  // more than the caches of most machines
constexpr int32_t few_rows = 16;                   // up to here a product is bound by reading its weights

/// Fills with values of an ordinary size: NaNs or denormals would be timed otherwise.
void fill(Tensor& tensor, uint32_t seed) {
  std::minstd_rand random(seed);
  std::uniform_real_distribution<float> values(-1.0F, 1.0F);
  std::vector<float> pattern(4099);  // a prime, so that no row repeats another
  for (float& value : pattern) value = values(random);
  const auto count = static_cast<size_t>(tensor.elements());
  if (tensor.dtype() == DType::i8) {
    const auto codes = tensor.as<int8_t>();
    for (size_t i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(pattern[i % pattern.size()] * 127);
    return;
  }
  for (size_t i = 0; i < count; i += pattern.size()) {
    convert_from_float(pattern.data(), tensor.dtype(), tensor.data() + i * size_of(tensor.dtype()),
                       std::min(pattern.size(), count - i));
  }
}

Tensor filled(DType dtype, Shape shape, uint32_t seed) {
  Tensor tensor(dtype, std::move(shape));
  fill(tensor, seed);
  return tensor;
}

/// Scales that take codes back to the size of what was quantised: products of raw codes are so large that an
/// activation of theirs is a denormal, which would be timed in place of the kernel.
Tensor scales(Shape shape, uint32_t seed) {
  Tensor tensor = filled(DType::f32, std::move(shape), seed);
  for (float& scale : tensor.as<float>()) scale /= 127;
  return tensor;
}

}  // namespace

LinearWorkload::LinearWorkload(const Linear::Problem& problem, int32_t rows)
    : problem_(problem), shape_(packed_shape(problem.format, problem.n, problem.k, is_gated(problem.activation))) {
  if (rows <= few_rows && !can_evict()) copies_ = std::clamp<int64_t>(cold_bytes / shape_.bytes(), 1, 64);
  const int64_t outputs = shape_.panels * panel_width;
  input_ = filled(problem.input, {rows, row_stride(problem.k)}, 1);
  input_scales_ = scales({rows}, 2);
  weights_ = filled(element_dtype(problem.format), {copies_, outputs, shape_.padded_k}, 3);
  scales_ = scales({outputs}, 4);
  code_sums_ = Tensor(DType::i32, {outputs});
  bias_ = filled(DType::f32, {outputs}, 5);
  residual_ = filled(DType::f32, {rows, row_stride(problem.output_width())}, 6);
  output_ = Tensor(problem.output, {rows, row_stride(problem.output_width())});
}

Linear::Args LinearWorkload::next(int32_t rows) {
  Linear::Args args{};
  args.rows = rows;
  args.input = input_.data();
  args.input_stride = row_stride(problem_.k);
  args.input_scales = input_scales_.as<float>().data();
  args.weight.panels = weights_.data() + turn_ * shape_.bytes();
  args.weight.scales = scales_.as<float>().data();
  args.weight.code_sums = code_sums_.as<int32_t>().data();
  args.bias = problem_.bias ? bias_.as<float>().data() : nullptr;
  args.residual = problem_.residual ? residual_.as<float>().data() : nullptr;
  args.residual_stride = row_stride(problem_.output_width());
  args.output = output_.data();
  args.output_stride = row_stride(problem_.output_width());
  args.pad_output = true;
  turn_ = (turn_ + 1) % copies_;
  if (can_evict()) evict({args.weight.panels, static_cast<size_t>(shape_.bytes())});
  return args;
}

ExpertLinearWorkload::ExpertLinearWorkload(const ExpertLinear::Problem& problem, int32_t rows)
    : problem_(problem), shape_(packed_shape(problem.format, problem.n, problem.k, is_gated(problem.activation))) {
  // Enough to be cold in the caches, and a different one for every slot of a row.
  constexpr int64_t weight_bytes = int64_t{256} << 20;
  const int64_t fitting = weight_bytes / shape_.bytes();
  present_ = static_cast<int32_t>(std::min<int64_t>(problem.experts, std::max<int64_t>(problem.top_k, fitting)));
  const int64_t outputs = shape_.panels * panel_width;
  input_ = filled(problem.input, {rows, row_stride(problem.input_width())}, 1);
  input_scales_ = scales({rows, problem.top_k}, 2);
  expert_ = Tensor(DType::i32, {rows, problem.top_k});
  weights_ = filled(element_dtype(problem.format), {present_, outputs, shape_.padded_k}, 3);
  scales_ = scales({present_, outputs}, 4);
  code_sums_ = Tensor(DType::i32, {present_, outputs});
  output_ = Tensor(problem.output, {rows, row_stride(problem.slots_width())});
}

ExpertLinear::Args ExpertLinearWorkload::next(int32_t rows) {
  int32_t* expert = expert_.as<int32_t>().data();
  for (int64_t i = 0; i < int64_t{rows} * problem_.top_k; ++i) {
    expert[i] = turn_;
    turn_ = (turn_ + 1) % present_;
  }
  ExpertLinear::Args args{};
  args.rows = rows;
  args.input = input_.data();
  args.input_stride = row_stride(problem_.input_width());
  args.input_scales = input_scales_.as<float>().data();
  args.input_scale_stride = problem_.top_k;
  args.expert = expert;
  args.expert_stride = problem_.top_k;
  args.weight = {weights_.data(), scales_.as<float>().data(), code_sums_.as<int32_t>().data()};
  args.output = output_.data();
  args.output_stride = row_stride(problem_.slots_width());
  args.pad_output = true;
  return args;
}

AttentionWorkload::AttentionWorkload(const Attention::Problem& problem, int32_t rows)
    : problem_(problem), context_(std::max(rows, 512)) {
  const KvGeometry geometry = problem.geometry();
  const int32_t pages = (context_ + geometry.tokens - 1) / geometry.tokens;
  pool_ = filled(problem.cache,
                 {pages, kv_page_pitch(geometry.page_bytes()) / static_cast<int64_t>(size_of(problem.cache))}, 1);
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  query_ = filled(problem.query, {rows, row_stride(width)}, 2);
  output_ = Tensor(problem.output, {rows, row_stride(width)});
  table_ = filled(DType::f32, {rows, row_stride(2 * int64_t{problem.rotary_pairs})}, 3);
  pages_.resize(static_cast<size_t>(pages));
  std::iota(pages_.begin(), pages_.end(), 0);
  positions_.resize(static_cast<size_t>(rows));
}

Attention::Args AttentionWorkload::next(int32_t rows) {
  const int64_t stride = row_stride(int64_t{problem_.heads} * problem_.head_dim);
  std::iota(positions_.begin(), positions_.begin() + rows, context_ - rows);
  span_ = {0, 0, rows, context_ - rows, 0, rows};
  Attention::Args args{};
  args.sequences = 1;
  args.spans = &span_;
  args.cache = {pool_.data(), kv_page_pitch(problem_.geometry().page_bytes()), 0, pages_.data(),
                static_cast<int32_t>(pages_.size())};
  args.positions = positions_.data();
  args.query = query_.data();
  args.query_stride = stride;
  args.output = output_.data();
  args.output_stride = stride;
  args.rows = rows;
  args.table = table_.as<float>().data();
  args.table_stride = row_stride(2 * int64_t{problem_.rotary_pairs});
  args.pad_output = true;
  return args;
}

}  // namespace incipit
