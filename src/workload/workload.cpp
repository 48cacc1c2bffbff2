#include "workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <span>

#include "kernels/kv_pages.h"
#include "kernels/problem.h"
#include "workload/evict.h"

namespace incipit {
namespace {

constexpr int64_t cold_bytes = int64_t{96} << 20;            // more than the caches of most processors,
constexpr int64_t cold_bytes_of_a_gpu = int64_t{256} << 20;  // and of GPUs
constexpr int32_t few_rows = 16;                             // up to here a product is bound by reading its weights

/// Fills with values of an ordinary size: NaNs or denormals would be timed otherwise.
void fill(Tensor& tensor, uint32_t seed) {
  std::minstd_rand random(seed);
  std::uniform_real_distribution<float> values(-1.0F, 1.0F);
  std::vector<float> pattern(4099);  // a prime, so that no row repeats another
  for (float& value : pattern) value = values(random);
  const auto count = static_cast<size_t>(tensor.elements());
  if (size_of(tensor.dtype()) == 1) {  // codes, or bytes of two of them
    const auto codes = std::span(reinterpret_cast<int8_t*>(tensor.data()), count);
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

/// Puts scales of an ordinary size behind the codes of keys and values.
void fill_scales(Tensor& pool, const KvGeometry& geometry) {
  const auto scale = scales(DType::f32, {geometry.tokens}, 5);
  const int64_t pages = pool.shape()[0], page_bytes = pool.shape()[1], half = geometry.half_bytes();
  for (int64_t page = 0; page < pages; ++page) {
    for (int64_t at = 0; at < geometry.page_bytes(); at += half) {
      std::copy_n(scale.data(), half - geometry.scales_offset(),
                  pool.data() + page * page_bytes + at + geometry.scales_offset());
    }
  }
}

/// How many copies of a weight are more than the caches hold; one where weights are evicted.
int64_t copies_of(const Device& device, bool evicts, int32_t rows, int64_t weight_bytes) {
  const bool is_cpu = device.target().backend == Backend::cpu;
  if (evicts || (is_cpu && rows > few_rows)) return 1;
  return std::clamp<int64_t>((is_cpu ? cold_bytes : cold_bytes_of_a_gpu) / weight_bytes, 1, 64);
}

/// A problem's weights, made where they are not those of before.
std::shared_ptr<const WeightWorkload> weights_of(Device& device, const WeightLayout& layout, const WeightShape& weight,
                                                 int64_t count, std::string of, KeptWeights* kept) {
  of += fmt::format(" {} {}", layout.name, count);
  if (kept == nullptr) return std::make_shared<const WeightWorkload>(device, layout, weight, count);
  if (kept->of != of) {
    *kept = {};  // first: both may not fit
    *kept = {std::move(of), std::make_shared<const WeightWorkload>(device, layout, weight, count)};
  }
  return kept->weights;
}

/// Enough to be cold in the caches, and a different one for every slot of a row.
int32_t present_experts(const ExpertLinear::Problem& problem, int64_t expert_bytes) {
  constexpr int64_t weight_bytes = int64_t{256} << 20;
  return static_cast<int32_t>(
      std::min<int64_t>(problem.experts, std::max<int64_t>(problem.top_k, weight_bytes / expert_bytes)));
}

}  // namespace

WeightWorkload::WeightWorkload(Device& device, const WeightLayout& layout, const WeightShape& weight, int64_t count)
    : bytes_(packed_shape(layout, weight).bytes()), operands_(device) {
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
  packed_.codes = operands_.input(codes_);
  packed_.scales = operands_.input(scales_);
  packed_.zero_points = operands_.input(zero_points_);
  packed_.code_sums = operands_.input_as<int32_t>(code_sums_);
}

PackedWeight WeightWorkload::packed(int64_t first) const {
  PackedWeight weight = packed_;
  weight.codes += first * bytes_;
  return weight;
}

PagedSequence::PagedSequence(DeviceOperands& operands, const KvGeometry& geometry, int32_t positions) {
  const int32_t pages = (positions + geometry.tokens - 1) / geometry.tokens;
  const int64_t page_bytes = kv_page_pitch(geometry.page_bytes());
  span_place_ = operands.output_of<SequenceSpan>(1);
  std::vector<int32_t> numbers(static_cast<size_t>(pages));
  std::iota(numbers.begin(), numbers.end(), 0);
  auto* const table = operands.output_of<int32_t>(numbers.size());
  operands.set<int32_t>(table, numbers);
  operands.device().wait(operands.device().record_event());
  cache_ = {operands.output(static_cast<size_t>(pages * page_bytes)), page_bytes, 0, table, pages, pages};
}

void PagedSequence::set_rows(DeviceOperands& operands, int32_t rows) {
  span_ = {0, 0, rows, 0, 0, rows};
  operands.set<SequenceSpan>(span_place_, {&span_, 1});
}

LinearWorkload::LinearWorkload(Device& device, const Linear::Problem& problem, const WeightLayout* layout, int32_t rows,
                               KeptWeights* kept)
    : problem_(problem),
      evicts_(device.target().backend == Backend::cpu && can_evict()),
      copies_(copies_of(device, evicts_, rows, packed_shape(*layout, problem.weight()).bytes())),
      operands_(device),
      weight_(weights_of(device, *layout, problem.weight(), copies_, to_text(problem), kept)) {
  const int64_t width = problem.output_width(), read_rows = rows + rows_behind(device.target().backend);
  input_ = filled(problem.input, {read_rows, row_stride(problem.k)}, 1);
  input_scales_ = scales(DType::f32, {rows}, 2);
  bias_ = filled(DType::f32, {OutputOrder(*layout, problem.n, problem.weight().pairs).packed_rows()}, 5);
  residual_ = filled(DType::f32, {read_rows, row_stride(width)}, 6);
  args_.input = operands_.input(input_);
  args_.input_stride = row_stride(problem.k);
  args_.input_scales = operands_.input_as<float>(input_scales_);
  args_.bias = problem.bias ? operands_.input_as<float>(bias_) : nullptr;
  args_.residual = problem.residual ? operands_.input_as<float>(residual_) : nullptr;
  args_.residual_stride = row_stride(width);
  args_.output = operands_.output(static_cast<size_t>(rows * row_stride(width)) * size_of(problem.output));
  args_.output_stride = row_stride(width);
  args_.pad_output = true;
  if (problem.norm.any) {
    unnormed_ = filled(DType::f32, {rows, row_stride(problem.k)}, 8);
    args_.unnormed = operands_.input_as<float>(unnormed_);
    args_.unnormed_stride = row_stride(problem.k);
  }
  if (!problem.kv.any()) return;
  table_ = filled(DType::f32, {rows, row_stride(2 * int64_t{problem.kv.rotary_pairs})}, 7);
  pages_.emplace(operands_, problem.kv.geometry(), rows);
  args_.kv = {1, pages_->span(), pages_->cache(), operands_.input_as<float>(table_),
              row_stride(2 * int64_t{problem.kv.rotary_pairs})};
}

Linear::Args LinearWorkload::next(int32_t rows) {
  if (pages_ && rows != args_.rows) pages_->set_rows(operands_, rows);
  args_.rows = rows;
  args_.weight = weight_->packed(turn_);
  turn_ = (turn_ + 1) % copies_;
  if (evicts_) evict({args_.weight.codes, static_cast<size_t>(weight_->bytes())});
  return args_;
}

ExpertLinearWorkload::ExpertLinearWorkload(Device& device, const ExpertLinear::Problem& problem,
                                           const WeightLayout* layout, int32_t rows, KeptWeights* kept)
    : problem_(problem),
      present_(present_experts(problem, packed_shape(*layout, problem.weight()).bytes())),
      operands_(device),
      weight_(weights_of(device, *layout, problem.weight(), present_, to_text(problem), kept)) {
  input_ = filled(problem.input, {rows, row_stride(problem.input_width())}, 1);
  input_scales_ = scales(DType::f32, {rows, problem.top_k}, 2);
  expert_.resize(static_cast<size_t>(rows) * static_cast<size_t>(problem.top_k));
  expert_place_ = operands_.output_of<int32_t>(expert_.size());
  const int64_t outputs = OutputOrder(*layout, problem.n, problem.weight().pairs).packed_rows();
  bias_ = filled(DType::f32, {present_, outputs}, 5);
  args_.input = operands_.input(input_);
  args_.input_stride = row_stride(problem.input_width());
  args_.input_scales = operands_.input_as<float>(input_scales_);
  args_.input_scale_stride = problem.top_k;
  args_.expert = expert_place_;
  args_.expert_stride = problem.top_k;
  args_.weight = weight_->packed(0);
  args_.output =
      operands_.output(static_cast<size_t>(rows * row_stride(problem.slots_width())) * size_of(problem.output));
  args_.output_stride = row_stride(problem.slots_width());
  args_.bias = problem.bias ? operands_.input_as<float>(bias_) : nullptr;
  args_.pad_output = true;
}

ExpertLinear::Args ExpertLinearWorkload::next(int32_t rows) {
  const auto chosen = std::span(expert_).first(static_cast<size_t>(rows) * static_cast<size_t>(problem_.top_k));
  for (int32_t& expert : chosen) {
    expert = turn_;
    turn_ = (turn_ + 1) % present_;
  }
  operands_.set<int32_t>(expert_place_, chosen);
  args_.rows = rows;
  return args_;
}

namespace {

/// Whether a step of so many rows is a chunk and as many single tokens of other sequences.
bool is_mixed(const Attention::Problem& problem, int32_t rows) {
  constexpr int32_t few = 64;
  return problem.pages != page_format(Backend::cpu).layout && rows <= few;
}
/// Single tokens among a step's rows.
int32_t singles_of(const Attention::Problem& problem, int32_t rows) { return is_mixed(problem, rows) ? rows / 2 : 0; }

}  // namespace

AttentionWorkload::AttentionWorkload(Device& device, const Attention::Problem& problem, const WeightLayout*,
                                     int32_t rows, KeptWeights*)
    : problem_(problem), context_(std::max(rows, 512)), operands_(device) {
  const KvGeometry geometry = problem.geometry();
  const int32_t pages = (context_ + geometry.tokens - 1) / geometry.tokens;
  const int64_t page_bytes = kv_page_pitch(geometry.page_bytes());
  pool_ = filled(problem.cache, {pages, page_bytes / static_cast<int64_t>(size_of(problem.cache))}, 1);
  if (geometry.has_scales()) fill_scales(pool_, geometry);
  const int64_t stride = row_stride(int64_t{problem.heads} * problem.head_dim);
  query_ = filled(problem.query, {rows, stride}, 2);
  table_ = filled(DType::f32, {rows, row_stride(2 * int64_t{problem.rotary_pairs})}, 3);
  slopes_ = scales(DType::f32, {problem.heads}, 4);
  for (float& slope : slopes_.as<float>()) slope = std::abs(slope);
  sinks_ = filled(DType::f32, {problem.heads}, 5);
  positions_.resize(static_cast<size_t>(rows));
  positions_place_ = operands_.output_of<int32_t>(positions_.size());
  const int32_t sequences = 1 + singles_of(problem, rows);
  spans_place_ = operands_.output_of<SequenceSpan>(static_cast<size_t>(sequences));
  // Few rows find keys and values cold, as they do among a model's layers: steps have other pages in turn.
  constexpr size_t cold_bytes = 128 << 20;
  const auto enough = static_cast<int32_t>(std::min<size_t>(cold_bytes / pool_.bytes() + 1, 64));
  contexts_ = is_mixed(problem, rows) ? std::max(sequences, enough) : 1;
  std::vector<int32_t> numbers(static_cast<size_t>((contexts_ + sequences - 1) * pages));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int32_t>(i) % (contexts_ * pages);
  page_tables_ = operands_.output_of<int32_t>(numbers.size());
  operands_.set<int32_t>(page_tables_, numbers);
  args_.spans = spans_place_;
  args_.cache = {operands_.output(pool_.bytes() * static_cast<size_t>(contexts_)),
                 page_bytes,
                 0,
                 page_tables_,
                 pages,
                 contexts_ * pages};
  for (int32_t i = 0; i < contexts_; ++i) {
    operands_.set<std::byte>(args_.cache.pool + i * static_cast<int64_t>(pool_.bytes()), {pool_.data(), pool_.bytes()});
  }
  device.wait(device.record_event());
  args_.positions = positions_place_;
  args_.query = operands_.input(query_);
  args_.query_stride = stride;
  args_.output = operands_.output(static_cast<size_t>(rows * stride) * size_of(problem.output));
  args_.output_stride = stride;
  args_.table = operands_.input_as<float>(table_);
  args_.table_stride = row_stride(2 * int64_t{problem.rotary_pairs});
  args_.slopes = operands_.input_as<float>(slopes_);
  args_.sinks = operands_.input_as<float>(sinks_);
  args_.pad_output = true;
}

void AttentionWorkload::set_rows(int32_t rows) {
  const int32_t singles = singles_of(problem_, rows), chunk = rows - singles;
  const auto positions = std::span(positions_).first(static_cast<size_t>(rows));
  std::ranges::fill(positions, context_ - 1);
  std::iota(positions.begin(), positions.begin() + chunk, context_ - chunk);
  spans_ = {{0, 0, chunk, context_ - chunk, 0, chunk}};
  for (int32_t i = 1; i <= singles; ++i) {
    const int32_t row = chunk + i - 1;
    spans_.push_back({i, row, 1, context_ - 1, row, 1});
  }
  operands_.set<int32_t>(positions_place_, positions);
  operands_.set<SequenceSpan>(spans_place_, spans_);
  args_.sequences = 1 + singles;
  args_.rows = rows;
  args_.longest_context = context_;
  args_.most_queries = chunk;
}

Attention::Args AttentionWorkload::next(int32_t rows) {
  if (rows != args_.rows) set_rows(rows);
  args_.cache.page_tables = page_tables_ + int64_t{turn_++ % contexts_} * args_.cache.table_stride;
  return args_;
}

}  // namespace incipit
