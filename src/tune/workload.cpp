#include "tune/workload.h"

#include <algorithm>
#include <cmath>
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
Tensor scales(DType dtype, Shape shape, uint32_t seed) {
  Tensor numbers = filled(DType::f32, shape, seed);
  for (float& scale : numbers.as<float>()) scale /= 127;
  if (dtype == DType::f32) return numbers;
  Tensor tensor(dtype, std::move(shape));
  convert_from_float(numbers.as<float>().data(), dtype, tensor.data(), static_cast<size_t>(tensor.elements()));
  return tensor;
}

/// Enough to be cold in the caches, and a different one for every slot of a row.
int32_t present_experts(const ExpertLinear::Problem& problem, int64_t expert_bytes) {
  constexpr int64_t weight_bytes = int64_t{256} << 20;
  return static_cast<int32_t>(
      std::min<int64_t>(problem.experts, std::max<int64_t>(problem.top_k, weight_bytes / expert_bytes)));
}

}  // namespace

WeightWorkload::WeightWorkload(const WeightLayout& layout, const WeightShape& weight, int64_t count)
    : bytes_(packed_shape(layout, weight).bytes()) {
  for (const PlaneShape& plane : planes_of(layout, weight, false)) {
    const Shape shape{count, plane.elements};
    switch (plane.role) {
      case PlaneRole::values:
      case PlaneRole::codes: codes_ = filled(plane.dtype, shape, 3); break;
      case PlaneRole::scales: scales_ = scales(plane.dtype, shape, 4); break;
      case PlaneRole::zero_points: zero_points_ = Tensor(plane.dtype, shape); break;
      case PlaneRole::code_sums: code_sums_ = Tensor(plane.dtype, shape); break;
      case PlaneRole::bias: break;
    }
  }
}

PackedWeight WeightWorkload::packed(int64_t first) const {
  PackedWeight weight;
  weight.codes = codes_.data() + first * bytes_;
  weight.scales = scales_.data();
  weight.zero_points = zero_points_.data();
  weight.code_sums = reinterpret_cast<const int32_t*>(code_sums_.data());
  return weight;
}

LinearWorkload::LinearWorkload(const Linear::Problem& problem, const WeightLayout* layout, int32_t rows)
    : problem_(problem),
      copies_(rows <= few_rows && !can_evict()
                  ? std::clamp<int64_t>(cold_bytes / packed_shape(*layout, problem.weight()).bytes(), 1, 64)
                  : 1),
      weight_(*layout, problem.weight(), copies_) {
  input_ = filled(problem.input, {rows, row_stride(problem.k)}, 1);
  input_scales_ = scales(DType::f32, {rows}, 2);
  bias_ = filled(DType::f32, {OutputOrder(*layout, problem.n, problem.weight().pairs).packed_rows()}, 5);
  residual_ = filled(DType::f32, {rows, row_stride(problem.output_width())}, 6);
  output_ = Tensor(problem.output, {rows, row_stride(problem.output_width())});
}

Linear::Args LinearWorkload::next(int32_t rows) {
  Linear::Args args{};
  args.rows = rows;
  args.input = input_.data();
  args.input_stride = row_stride(problem_.k);
  args.input_scales = input_scales_.as<float>().data();
  args.weight = weight_.packed(turn_);
  args.bias = problem_.bias ? bias_.as<float>().data() : nullptr;
  args.residual = problem_.residual ? residual_.as<float>().data() : nullptr;
  args.residual_stride = row_stride(problem_.output_width());
  args.output = output_.data();
  args.output_stride = row_stride(problem_.output_width());
  args.pad_output = true;
  turn_ = (turn_ + 1) % copies_;
  if (can_evict()) evict({args.weight.codes, static_cast<size_t>(weight_.bytes())});
  return args;
}

ExpertLinearWorkload::ExpertLinearWorkload(const ExpertLinear::Problem& problem, const WeightLayout* layout,
                                           int32_t rows)
    : problem_(problem),
      present_(present_experts(problem, packed_shape(*layout, problem.weight()).bytes())),
      weight_(*layout, problem.weight(), present_) {
  input_ = filled(problem.input, {rows, row_stride(problem.input_width())}, 1);
  input_scales_ = scales(DType::f32, {rows, problem.top_k}, 2);
  expert_ = Tensor(DType::i32, {rows, problem.top_k});
  const int64_t outputs = OutputOrder(*layout, problem.n, problem.weight().pairs).packed_rows();
  bias_ = filled(DType::f32, {present_, outputs}, 5);
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
  args.weight = weight_.packed(0);
  args.output = output_.data();
  args.output_stride = row_stride(problem_.slots_width());
  args.bias = problem_.bias ? bias_.as<float>().data() : nullptr;
  args.pad_output = true;
  return args;
}

AttentionWorkload::AttentionWorkload(const Attention::Problem& problem, const WeightLayout*, int32_t rows)
    : problem_(problem), context_(std::max(rows, 512)) {
  const KvGeometry geometry = problem.geometry();
  const int32_t pages = (context_ + geometry.tokens - 1) / geometry.tokens;
  pool_ = filled(problem.cache,
                 {pages, kv_page_pitch(geometry.page_bytes()) / static_cast<int64_t>(size_of(problem.cache))}, 1);
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  query_ = filled(problem.query, {rows, row_stride(width)}, 2);
  output_ = Tensor(problem.output, {rows, row_stride(width)});
  table_ = filled(DType::f32, {rows, row_stride(2 * int64_t{problem.rotary_pairs})}, 3);
  slopes_ = scales(DType::f32, {problem.heads}, 4);
  for (float& slope : slopes_.as<float>()) slope = std::abs(slope);
  sinks_ = filled(DType::f32, {problem.heads}, 5);
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
  args.slopes = slopes_.as<float>().data();
  args.sinks = sinks_.as<float>().data();
  args.pad_output = true;
  return args;
}

}  // namespace incipit
