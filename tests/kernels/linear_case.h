// Random products: weights packed from random rows, tolerances from the magnitudes summed.
#pragma once

#include <optional>

#include "kernel_case.h"
#include "kernels/families.h"
#include "kernels/packing.h"
#include "paged_case.h"
#include "random_weight.h"

namespace incipit {

inline constexpr std::pair<WeightFormat, DType> linear_formats[] = {
    {WeightFormat::f32, DType::f32}, {WeightFormat::bf16, DType::bf16}, {WeightFormat::f16, DType::f32},
    {WeightFormat::i8, DType::i8},   {WeightFormat::i4(64), DType::i8}, {WeightFormat::u4(32), DType::i8}};

/// A product quantises its own rows too.
inline constexpr std::pair<WeightFormat, DType> linear_inputs[] = {
    linear_formats[0],
    linear_formats[1],
    linear_formats[2],
    linear_formats[3],
    {WeightFormat::i8, DType::f32},
    {WeightFormat::i8, DType::bf16},
    linear_formats[4],
    {WeightFormat::i4(32), DType::bf16},
    {WeightFormat::i4(128), DType::f32},
    linear_formats[5],
    {WeightFormat::u4(64), DType::f32},
    {WeightFormat::u4(128), DType::bf16},
    {WeightFormat::i4(64).for_inputs(DType::bf16), DType::bf16},
    {WeightFormat::i4(128).for_inputs(DType::bf16), DType::bf16},
    {WeightFormat::u4(32).for_inputs(DType::bf16), DType::bf16}};

struct BoundedSum {
  double value, error;
};

/// Σ scale·input(k)·w[k] + bias with the error of any order of f32 sums: (k + 8)·u·Σ|in·w|; a sum of codes is exact
/// over all of k, or over 32 inputs of a group, and rounds a few times as it becomes a float and, scaled, is added to
/// the others. bf16 units flush denormal products: k·2^-126 more.
template <typename Input>
BoundedSum bound_product(const WeightFormat& format, DType dtype, int64_t count, double scale, Input input,
                         const float* w, double bias) {
  const bool coded = dtype == DType::i8;
  const int64_t exact = !coded ? 1 : format.block_k == 0 ? count : std::min(format.block_k, 32);
  double value = 0, magnitude = 0;
  for (int64_t first = 0; first < count; first += exact) {
    double sum = 0;
    for (int64_t k = first; k < std::min(count, first + exact); ++k) sum += scale * input(k) * w[k];
    value += sum;
    magnitude += std::abs(sum);
  }
  const double terms = static_cast<double>((count + exact - 1) / exact) + 8;
  return {value + bias, terms * half_ulp_f32 * (magnitude + std::abs(bias)) + static_cast<double>(count) * 0x1p-126};
}

/// What may lie between a product's output and the reference's, `expected`. `up` gives the second sum when gated.
template <typename Up>
double bound_output(Activation activation, DType output, BoundedSum value, Up up, double residual, double expected) {
  const double u = half_ulp_f32;
  if (activation == Activation::sigmoid) {
    value = {1, 0.25 * value.error + 8 * u};
  } else if (activation != Activation::none) {
    // The activations' slopes stay below 1.2 and their own errors, some units in the last place of the factors of
    // x, below 16·u·|x|; |activation(x)| <= |x|.
    value.error = 1.2 * value.error + 16 * u * std::abs(value.value);
    value.value = std::abs(value.value);
  }
  if (is_gated(activation)) {
    BoundedSum factor = up();
    if (activation == Activation::clamped_silu_gate) {
      factor = {std::abs(factor.value) + 1, factor.error + u * (std::abs(factor.value) + 1)};
    }
    value.error = value.error * std::abs(factor.value) + std::abs(value.value) * factor.error +
                  value.error * factor.error + u * std::abs(value.value * factor.value);
    value.value = std::abs(value.value * factor.value);
  }
  const double magnitude = std::abs(value.value) + residual;
  // Both sides round to the output: half an ulp each, of the result or of what the error makes of it.
  return value.error + u * magnitude + 2 * unit_roundoff(output) * (std::abs(expected) + value.error + u * magnitude);
}

template <>
class KernelCase<Linear> {
 public:
  static std::vector<Linear::Problem> test_problems() {
    std::vector<Linear::Problem> problems;
    using A = Activation;
    for (const auto& [format, input] : linear_inputs) {
      const auto add = [&, f = format, i = input](int32_t n, int32_t k, DType output, bool bias, bool residual, A a) {
        problems.push_back({n, k, f, i, output, bias, residual, a});
      };
      add(16, 64, DType::f32, false, false, A::none);
      add(1, 1, DType::f32, false, true, A::none);
      add(37, 100, DType::f32, true, true, A::none);
      add(150, 203, DType::bf16, true, false, A::silu);
      add(128, 256, DType::f32, false, true, A::gelu_erf);
      add(48, 130, DType::bf16, true, true, A::gelu_tanh);
      add(33, 65, DType::f32, true, false, A::relu);
      add(2 * 40, 129, DType::bf16, false, false, A::silu_gate);
      add(2 * 64, 64, DType::f32, true, true, A::gelu_tanh_gate);
      add(2 * 17, 192, DType::f32, true, false, A::gelu_erf_gate);
      add(1, 80, DType::f32, true, false, A::sigmoid);
      add(2 * 24, 96, DType::bf16, true, false, A::clamped_silu_gate);
      // Keys and values into pages: heads that rotate whole, in part and not at all; with and without queries. Other
      // formats than bf16 have the same epilogues in turn.
      int turn = static_cast<int>(problems.size());
      const auto add_kv = [&, f = format, i = input](int32_t queries, int32_t k, DType output, bool bias,
                                                     const KvOutputs& kv) {
        if (++turn % 3 != 0 && f != WeightFormat::bf16) return;
        const int32_t n = queries + 2 * static_cast<int32_t>(kv.width());
        problems.push_back({n, k, f, i, output, bias, false, A::none, kv});
      };
      constexpr PageLayout rows = PageLayout::rows;
      add_kv(192, 136, DType::bf16, false, {3, 64, 64, rows, DType::bf16, 32});
      add_kv(64, 96, DType::f32, true, {2, 32, 64, rows, DType::f32, 16, true});
      add_kv(0, 203, DType::bf16, true, {2, 128, 64, rows, DType::bf16, 64});
      add_kv(48, 64, DType::f32, false, {1, 80, 64, rows, DType::f16, 16});
      add_kv(16, 72, DType::bf16, false, {2, 48, 64, rows, DType::bf16, 8, true});
      add_kv(80, 64, DType::bf16, true, {1, 16, 64, rows, DType::f16, 0});
      // Inputs that are norms, which some kernels make.
      if (format != WeightFormat::bf16) continue;
      const auto add_normed = [&](Linear::Problem problem) {
        problem.norm = {true, 1e-5F};
        problems.push_back(problem);
      };
      add_normed({37, 100, format, input, DType::f32, true, true, A::none});
      add_normed({2 * 40, 203, format, input, DType::bf16, false, false, A::silu_gate});
      add_normed({2 * 40, 200, format, input, DType::bf16, false, false, A::silu_gate});
      add_normed({200, 1104, format, input, DType::f32, true, true, A::none});
      add_normed(
          {192 + 2 * 192, 136, format, input, DType::bf16, false, false, A::none, {3, 64, 64, rows, DType::bf16, 32}});
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }

  static std::vector<BenchStep<Linear>> bench_steps() {
    std::vector<BenchStep<Linear>> steps;
    for (const auto& [format, input] : linear_inputs) {
      const DType narrow = input == DType::bf16 ? DType::bf16 : DType::f32;
      // llama-0.5b: the merged gate and up, the down product, and the head, which is larger than caches.
      const Linear::Problem gate_up{5632, 1024, format, input, narrow, false, false, Activation::silu_gate};
      const Linear::Problem down{1024, 2816, format, input, DType::f32, false, true, Activation::none};
      const Linear::Problem head{32000, 1024, format, input, DType::f32, false, false, Activation::none};
      const auto add = [&](const Linear::Problem& problem, int32_t rows) {
        const double weights = static_cast<double>(problem.n) * problem.k;
        steps.push_back(
            {problem, rows, 2.0 * rows * weights, static_cast<double>(problem.n * problem.format.bytes_of(problem.k))});
      };
      for (const int32_t rows : {1, 8, 128, 1024}) {
        if (!down.quantizes()) add(gate_up, rows);
        add(down, rows);
      }
      if (down.quantizes()) continue;
      for (const int32_t rows : {1, 8}) add(head, rows);
    }
    return steps;
  }

  KernelCase(const Linear::Problem& problem, int32_t rows, uint64_t seed, const WeightLayout& layout = panel16)
      : problem_(problem),
        layout_(layout),
        random_(seed),
        weight_(problem.weight(), random_, layout),
        input_(Rows::whole(problem.input, rows, problem.k)) {
    const int64_t width = problem.output_width();
    // By turns a whole buffer, a column view, and a residual that is the output itself.
    const bool view = seed % 3 == 1;
    in_place_ = problem.residual && problem.output == DType::f32 && seed % 3 == 2;
    output_ = view ? Rows::view(problem.output, rows, width, row_stride(width + 70), 32)
                   : Rows::whole(problem.output, rows, width);
    input_.fill_random(random_);
    if (problem.norm.any) make_norm();
    std::uniform_real_distribution<float> real(-1, 1);
    for (int32_t r = 0; r < rows; ++r) input_scales_.push_back(0.01f * (1.5f + real(random_)));
    if (problem.quantizes()) {
      codes_ = Rows::whole(DType::i8, rows, problem.k);
      QuantizeRows::reference(
          {problem.k, problem.input},
          {rows, input_.data(), input_.stride, codes_.bytes.as<int8_t>(), codes_.stride, input_scales_.data()});
    }
    if (problem.kv.any()) {
      std::vector<int32_t> first_positions, shares;
      if (seed % 2 == 0) {
        spans_at_page_ends(rows, first_positions, shares);
      } else {
        random_spans(rows, random_, first_positions, shares);
      }
      batch_.emplace(problem.kv.geometry(), first_positions, shares, random_);
      table_ = Rows::whole(DType::f32, rows, 2 * problem.kv.rotary_pairs);
      table_.fill_random(random_);
    }
    for (int32_t j = 0; j < problem.n; ++j) bias_.push_back(real(random_));
    packed_bias_ = pack_bias(layout, problem.weight(), bias_);
    residual_ = Rows::whole(DType::f32, rows, width);
    residual_.fill_random(random_);
    args_ = {rows,
             input_.data(),
             input_.stride,
             problem.input == DType::i8 ? input_scales_.data() : nullptr,
             weight_.packed(),
             problem.bias ? packed_bias_.data() : nullptr,
             problem.residual ? reinterpret_cast<const float*>(residual_.data()) : nullptr,
             residual_.stride,
             output_.data(),
             output_.stride,
             !view};
    if (batch_) {
      args_.kv = {static_cast<int32_t>(batch_->spans().size()), batch_->spans().data(), batch_->cache(),
                  reinterpret_cast<const float*>(table_.data()), table_.stride};
    }
    if (problem.norm.any) {
      args_.unnormed = reinterpret_cast<const float*>(unnormed_.data());
      args_.unnormed_stride = unnormed_.stride;
    }
    if (in_place_) {
      args_.residual = reinterpret_cast<const float*>(output_.data());
      args_.residual_stride = output_.stride;
    }
  }

  const Linear::Args& args() const { return args_; }
  Rows& output() { return output_; }

  void reset() {
    output_.bytes.poison();
    if (batch_) batch_->pool().poison();
    if (!in_place_) return;
    for (int32_t r = 0; r < args_.rows; ++r) {
      for (int64_t j = 0; j < output_.width; ++j) output_.set(r, j, residual_.get(r, j));
    }
  }

  std::string mismatch() {
    if (expected_.rows == 0) compute_expected();
    const std::string wrong = rows_mismatch(
        "output", output_, expected_, args_.pad_output,
        [&](int64_t row, int64_t column) { return tolerance_[static_cast<size_t>(row * output_.width + column)]; });
    return wrong.empty() && batch_ ? pages_mismatch() : wrong;
  }

  /// What the pages have of the first rows.
  std::vector<std::byte> kept_in_pages(int32_t rows) {
    std::vector<std::byte> bytes;
    const auto element = static_cast<int64_t>(size_of(problem_.kv.cache));
    for_kept([&](int64_t row, const std::byte* head, int64_t first, int64_t) {
      if (row >= rows) return;
      const std::byte* from = head + first * element;
      bytes.insert(bytes.end(), from, from + problem_.kv.head_dim * element);
    });
    return bytes;
  }

 private:
  /// The input becomes the norm of other rows, whose sizes differ.
  void make_norm() {
    unnormed_ = Rows::whole(DType::f32, input_.rows, problem_.k);
    unnormed_.fill_random(random_);
    for (int32_t r = 0; r < input_.rows; ++r) {
      for (int64_t k = 0; k < problem_.k; ++k) unnormed_.set(r, k, unnormed_.get(r, k) * static_cast<float>(1 + r % 5));
    }
    RmsNorm::Problem norm{problem_.k, problem_.norm.epsilon};
    norm.output = problem_.input;
    RmsNorm::Args args{};
    args.rows = input_.rows;
    args.input = reinterpret_cast<const float*>(unnormed_.data());
    args.input_stride = unnormed_.stride;
    args.output = input_.data();
    args.output_stride = input_.stride;
    RmsNorm::reference(norm, args);
  }

  /// Calls visit(row, where the keys or values of its page's head are, the row's first element there, the first of the
  /// weight's outputs that it holds) for every row and head, first its keys, then its values.
  template <typename Visit>
  void for_kept(Visit visit) {
    if (!batch_) return;
    const KvOutputs& kv = problem_.kv;
    const KvGeometry geometry = kv.geometry();
    for (int32_t sequence = 0; sequence < args_.kv.sequences; ++sequence) {
      const SequenceSpan& span = args_.kv.spans[sequence];
      for (int32_t i = 0; i < span.tokens; ++i) {
        const int32_t position = span.first_position + i;
        const std::byte* page = args_.kv.cache.page(sequence, position / kv.page_tokens);
        const int64_t first = geometry.k_element(position % kv.page_tokens, 0);
        for (int32_t head = 0; head < kv.kv_heads; ++head, page += geometry.head_bytes()) {
          const int64_t output = output_.width + int64_t{head} * kv.head_dim;
          visit(span.first_token + i, page, first, output);
          visit(span.first_token + i, page + geometry.half_bytes(), first, output + kv.width());
        }
      }
    }
  }

  /// What is near enough to the expected becomes that; then the whole pool must be.
  std::string pages_mismatch() {
    GuardedBytes& pool = batch_->pool();
    if (!pool.guard_intact()) return "the pool was written beyond its end";
    std::vector<std::byte> got(pool.data(), pool.data() + pool.size());
    std::memcpy(pool.data(), expected_pool_.data(), expected_pool_.size());
    std::string wrong;
    for_kept([&](int64_t row, const std::byte* head, int64_t first, int64_t output) {
      std::byte* const mine = got.data() + (head - pool.data());
      for (int64_t dim = 0; dim < problem_.kv.head_dim && wrong.empty(); ++dim) {
        const float wanted = element_as_float(problem_.kv.cache, head, first + dim);
        const float actual = element_as_float(problem_.kv.cache, mine, first + dim);
        const double bound = kept_tolerance_[kept_index(row, output + dim)];
        if (!(std::abs(double{actual} - wanted) <= bound)) {
          wrong = "row " + std::to_string(row) + " has output " + std::to_string(output + dim) + " as " +
                  std::to_string(actual) + " in its page, want " + std::to_string(wanted) + " ± " +
                  std::to_string(bound);
        }
        set_element(problem_.kv.cache, mine, first + dim, wanted);
      }
    });
    if (!wrong.empty()) return wrong;
    const auto differ = std::mismatch(got.begin(), got.end(), pool.data());
    return differ.first == got.end() ? "" : "pool differs at byte " + std::to_string(differ.first - got.begin());
  }

  /// Of an output that goes to a page, among those of all rows.
  size_t kept_index(int64_t row, int64_t output) const {
    return static_cast<size_t>(row * 2 * problem_.kv.width() + output - output_.width);
  }

  /// Of dim `dim` of the head whose first output is `output`. A rotation adds two products of sums and numbers of the
  /// table, with a rounding each, and one for their sum.
  double kept_tolerance(int64_t row, int64_t output, int64_t dim, double expected) {
    const KvOutputs& kv = problem_.kv;
    const bool rotates = output < output_.width + kv.width() && dim < 2 * kv.rotary_pairs;
    BoundedSum own = sum(row, output + dim);
    if (rotates) {
      const int64_t pair = kv.interleaved ? dim / 2 : dim % kv.rotary_pairs;
      const int64_t partner = kv.interleaved ? dim ^ 1 : (dim + kv.rotary_pairs) % (2 * kv.rotary_pairs);
      const BoundedSum other = sum(row, output + partner);
      const double cosine = std::abs(table_.get(row, pair)), sine = std::abs(table_.get(row, kv.rotary_pairs + pair));
      const double size = cosine * std::abs(own.value) + sine * std::abs(other.value);
      own = {size, cosine * own.error + sine * other.error + 3 * half_ulp_f32 * size};
    }
    constexpr double least_f16 = 0x1p-24;
    return own.error + half_ulp_f32 * std::abs(own.value) +
           2 * unit_roundoff(kv.cache) * (std::abs(expected) + own.error) + (kv.cache == DType::f16 ? least_f16 : 0);
  }

  void compute_expected() {
    expected_ = Rows::whole(problem_.output, args_.rows, output_.width);
    Linear::Args args = args_;
    args.output = expected_.data();
    args.output_stride = expected_.stride;
    args.residual = reinterpret_cast<const float*>(residual_.data());
    args.residual_stride = residual_.stride;
    args.pad_output = true;
    std::vector<std::byte> pool;
    if (batch_) {
      pool.assign(batch_->pool().data(), batch_->pool().data() + batch_->pool().size());
      batch_->pool().poison();
    }
    Linear::reference(problem_, args, layout_);
    if (batch_) {
      expected_pool_.assign(batch_->pool().data(), batch_->pool().data() + pool.size());
      kept_tolerance_.resize(kept_index(args_.rows, output_.width));
      for_kept([&](int64_t row, const std::byte* head, int64_t first, int64_t output) {
        for (int64_t dim = 0; dim < problem_.kv.head_dim; ++dim) {
          const float wanted = element_as_float(problem_.kv.cache, head, first + dim);
          kept_tolerance_[kept_index(row, output + dim)] = kept_tolerance(row, output, dim, wanted);
        }
      });
      std::memcpy(batch_->pool().data(), pool.data(), pool.size());
    }
    tolerance_.resize(static_cast<size_t>(args_.rows * output_.width));
    for (int32_t r = 0; r < args_.rows; ++r) {
      for (int64_t j = 0; j < output_.width; ++j) {
        tolerance_[static_cast<size_t>(r * output_.width + j)] = tolerance(r, j);
      }
    }
  }

  BoundedSum sum(int64_t row, int64_t output) {
    const bool coded = problem_.format.multiplies_codes();
    Rows& input = problem_.quantizes() ? codes_ : input_;
    const float* const weights = weight_.rows().data() + output * problem_.k;
    BoundedSum sum = bound_product(
        problem_.format, input.dtype, problem_.k, coded ? input_scales_[static_cast<size_t>(row)] : 1,
        [&](int64_t k) { return input.get(row, k); }, weights, problem_.bias ? bias_[static_cast<size_t>(output)] : 0);
    if (problem_.format.four_bits && !coded) {
      // A kernel may round what it makes of a code.
      double magnitude = 0;
      for (int64_t k = 0; k < problem_.k; ++k) magnitude += std::abs(double{input.get(row, k)} * weights[k]);
      sum.error += unit_roundoff(problem_.input) * magnitude;
    }
    if (problem_.norm.any) {
      // A kernel may round the rows and multiply sums by the norm's factor, which is some roundings exact, where the
      // reference rounds what is normed.
      double magnitude = 0;
      for (int64_t k = 0; k < problem_.k; ++k) magnitude += std::abs(double{input.get(row, k)} * weights[k]);
      sum.error += (2.1 * unit_roundoff(problem_.input) + (problem_.k + 16.0) * half_ulp_f32) * magnitude;
    }
    return sum;
  }

  double tolerance(int64_t row, int64_t column) {
    return bound_output(
        problem_.activation, problem_.output, sum(row, column), [&] { return sum(row, output_.width + column); },
        problem_.residual ? std::abs(residual_.get(row, column)) : 0, expected_.get(row, column));
  }

  Linear::Problem problem_;
  const WeightLayout& layout_;
  std::mt19937_64 random_;
  RandomWeight weight_;
  Rows input_, codes_, output_, residual_, expected_, table_, unnormed_;
  std::optional<PagedBatch> batch_;
  std::vector<std::byte> expected_pool_;
  std::vector<double> kept_tolerance_;
  std::vector<float> input_scales_, bias_, packed_bias_;
  std::vector<double> tolerance_;
  bool in_place_ = false;
  Linear::Args args_;
};

}  // namespace incipit
