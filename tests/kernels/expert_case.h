// Random steps of a mixture of experts: the choice, the experts' products, the sum of the slots.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>

#include "gather_case.h"
#include "kernel_case.h"
#include "kernels/families.h"
#include "linear_case.h"

namespace incipit {

template <>
class KernelCase<Router> {
 public:
  static std::vector<Router::Problem> test_problems() {
    std::vector<Router::Problem> problems;
    for (const bool correction : {false, true}) {
      for (const RoutingScores scores : {RoutingScores::softmax, RoutingScores::sigmoid, RoutingScores::sparsemixer}) {
        const auto add = [&](int32_t experts, int32_t top_k, bool normalize, int32_t groups = 1) {
          Routing routing{experts, top_k, normalize, scores};
          routing.groups = groups;
          routing.top_groups = (groups + 1) / 2;
          routing.group_best = groups > 4 ? 2 : 1;
          routing.scale = normalize ? 2.5f : 1;
          routing.floor = correction ? 0.125f : 0;
          routing.jitter = 0.01f;
          problems.push_back({routing, correction});
        };
        add(4, 2, true);
        add(8, 2, false);
        add(128, 8, true);
        add(64, 8, false, 8);
        add(1, 1, true);
        add(7, 7, false);
        add(5, 1, false);
        add(12, 3, true, 3);
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<Router>> bench_steps() {
    const Router::Problem problem{{128, 8, true}};
    return {{problem, 1024, 0, 1024.0 * 128 * 4}, {problem, 1, 0, 128 * 4}};
  }

  KernelCase(const Router::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        logits_(random_output(DType::f32, rows, problem.experts, seed / 2)),
        expert_(random_output(DType::i32, rows, problem.top_k, seed)),
        weight_(random_output(DType::f32, rows, problem.top_k, seed)) {
    logits_.fill_random(random_);
    for (int32_t row = 0; row < rows; ++row) {
      for (int64_t e = 0; e < problem.experts; ++e) {
        // Rows of many ties, and rows so far apart that all but one expert's share is nothing.
        if (row % 4 == 1) logits_.set(row, e, std::round(logits_.get(row, e) * 2));
        if (row % 4 == 2) logits_.set(row, e, logits_.get(row, e) * 300);
      }
    }
    std::uniform_real_distribution<float> real(-0.5f, 0.5f);
    for (int32_t e = 0; e < problem.experts; ++e) correction_.push_back(real(random_));
    args_ = {rows,
             reinterpret_cast<const float*>(logits_.data()),
             logits_.stride,
             reinterpret_cast<int32_t*>(expert_.data()),
             expert_.stride,
             reinterpret_cast<float*>(weight_.data()),
             weight_.stride,
             is_whole(expert_),
             problem.correction ? correction_.data() : nullptr};
  }
  const Router::Args& args() const { return args_; }
  void reset() {
    expert_.bytes.poison();
    weight_.bytes.poison();
  }
  /// The choice is exact; a weight errs by the exponentials' roundings, in double, and its own.
  std::string mismatch() {
    Rows expert = Rows::whole(DType::i32, args_.rows, problem_.top_k);
    Rows weight = Rows::whole(DType::f32, args_.rows, problem_.top_k);
    Router::Args args = args_;
    args.expert = reinterpret_cast<int32_t*>(expert.data()), args.expert_stride = expert.stride;
    args.weight = reinterpret_cast<float*>(weight.data()), args.weight_stride = weight.stride;
    Router::reference(problem_, args);
    const std::string wrong =
        rows_mismatch("expert", expert_, expert, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
    if (!wrong.empty()) return wrong;
    return rows_mismatch("weight", weight_, weight, args_.pad_output, [&](int64_t row, int64_t column) {
      return 2 * half_ulp_f32 * std::abs(weight.get(row, column)) + 0x1p-149;
    });
  }

 private:
  Router::Problem problem_;
  std::mt19937_64 random_;
  Rows logits_, expert_, weight_;
  std::vector<float> correction_;
  Router::Args args_;
};

/// The packed weights of several experts, one after another.
class RandomExperts {
 public:
  RandomExperts(const ExpertLinear::Problem& problem, std::mt19937_64& random, const WeightLayout& layout)
      : shape_(packed_shape(layout, problem.weight())), codes_(static_cast<size_t>(problem.experts * shape_.bytes())) {
    for (int32_t e = 0; e < problem.experts; ++e) {
      experts_.emplace_back(problem.weight(), random, layout);
      const PackedWeight one = experts_.back().packed();
      for (const PlaneShape& plane : planes_of(layout, problem.weight(), false)) {
        if (plane.role == PlaneRole::values || plane.role == PlaneRole::codes)
          std::memcpy(codes_.data() + e * plane.bytes(), one.codes, plane.bytes());
        if (plane.role == PlaneRole::scales) scales_.insert(scales_.end(), one.scales, one.scales + plane.bytes());
        if (plane.role == PlaneRole::zero_points) {
          zero_points_.insert(zero_points_.end(), one.zero_points, one.zero_points + plane.bytes());
        }
        if (plane.role == PlaneRole::code_sums) {
          code_sums_.insert(code_sums_.end(), one.code_sums, one.code_sums + plane.elements);
        }
      }
      if (problem.bias) {
        std::uniform_real_distribution<float> real(-1, 1);
        std::vector<float> own(static_cast<size_t>(problem.n));
        for (float& value : own) value = real(random);
        const std::vector<float> packed = pack_bias(layout, problem.weight(), own);
        bias_.insert(bias_.end(), own.begin(), own.end());
        packed_bias_.insert(packed_bias_.end(), packed.begin(), packed.end());
      }
    }
  }
  PackedWeight packed() { return {codes_.data(), scales_.data(), code_sums_.data(), zero_points_.data()}; }
  const PackedShape& shape() const { return shape_; }
  const float* packed_bias() const { return packed_bias_.empty() ? nullptr : packed_bias_.data(); }
  float bias(int64_t output) const { return bias_.empty() ? 0 : bias_[static_cast<size_t>(output)]; }
  /// W[expert] as floats, [n, k].
  const std::vector<float>& rows(int32_t expert) const { return experts_[static_cast<size_t>(expert)].rows(); }

 private:
  PackedShape shape_;
  std::vector<RandomWeight> experts_;
  GuardedBytes codes_;
  std::vector<std::byte> scales_, zero_points_;
  std::vector<float> bias_, packed_bias_;
  std::vector<int32_t> code_sums_;
};

template <>
class KernelCase<ExpertLinear> {
 public:
  static std::vector<ExpertLinear::Problem> test_problems() {
    std::vector<ExpertLinear::Problem> problems;
    using A = Activation;
    for (const auto& [format, input] : linear_formats) {
      const auto add = [&, f = format, i = input](int32_t experts, int32_t top_k, int32_t n, int32_t k, DType output,
                                                  bool shared, A a, bool bias = false) {
        problems.push_back({experts, top_k, n, k, f, i, output, shared, a});
        if (i == DType::i8 && !shared) problems.back().slot_scales = k != 70;
        problems.back().bias = bias;
      };
      add(4, 2, 2 * 40, 64, DType::f32, true, A::silu_gate);
      add(4, 2, 37, 100, DType::f32, false, A::none);
      add(8, 3, 2 * 17, 129, DType::bf16, true, A::gelu_tanh_gate);
      add(1, 1, 16, 1, DType::f32, false, A::silu);
      add(16, 4, 150, 70, DType::bf16, false, A::none);
      add(2, 2, 300, 65, DType::f32, true, A::none);
      add(5, 2, 2 * 150, 64, DType::f32, true, A::clamped_silu_gate, true);
      add(3, 2, 333, 90, DType::bf16, false, A::none, true);
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33, 70}; }

  static std::vector<BenchStep<ExpertLinear>> bench_steps() {
    std::vector<BenchStep<ExpertLinear>> steps;
    for (const auto& [format, input] : linear_formats) {
      const DType narrow = input == DType::bf16 ? DType::bf16 : DType::f32;
      // A fifth of Qwen3-30B-A3B's width with all of its experts' choice.
      const ExpertLinear::Problem gate_up{128, 8, 1536, 512, format, input, narrow, true, Activation::silu_gate};
      const ExpertLinear::Problem down{128, 8, 512, 768, format, input, DType::f32, false, Activation::none};
      for (const ExpertLinear::Problem& problem : {gate_up, down}) {
        for (const int32_t rows : {1, 64, 512}) {
          const double weights = static_cast<double>(problem.n) * problem.k;
          // Of uniformly chosen experts.
          const double experts = 128 * (1 - std::pow(1 - 8.0 / 128, rows));
          steps.push_back({problem, rows, 2.0 * rows * 8 * weights,
                           experts * static_cast<double>(problem.n * format.bytes_of(problem.k))});
        }
      }
    }
    return steps;
  }

  KernelCase(const ExpertLinear::Problem& problem, int32_t rows, uint64_t seed, const WeightLayout& layout = panel16)
      : problem_(problem),
        layout_(layout),
        random_(seed),
        experts_(problem, random_, layout),
        input_(random_output(problem.input, rows, problem.input_width(), seed / 2)),
        scales_(Rows::whole(DType::f32, rows, problem.slot_scales ? problem.top_k : 1)),
        expert_(random_output(DType::i32, rows, problem.top_k, seed / 2)),
        output_(random_output(problem.output, rows, problem.slots_width(), seed)) {
    input_.fill_random(random_);
    scales_.fill_random(random_);
    for (int32_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < scales_.width; ++i) scales_.set(row, i, 0.01f * (1.5f + scales_.get(row, i)));
    }
    // Distinct experts a row; by turns all of them are chosen from, and only some.
    std::vector<int32_t> numbers(static_cast<size_t>(problem.experts));
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), random_);
    const auto chosen_from = seed % 2 == 0 ? numbers.size() : std::max(numbers.size() / 2, size_t(problem.top_k));
    numbers.resize(chosen_from);
    for (int32_t row = 0; row < rows; ++row) {
      std::shuffle(numbers.begin(), numbers.end(), random_);
      for (int32_t slot = 0; slot < problem.top_k; ++slot) {
        expert_.set(row, slot, static_cast<float>(numbers[static_cast<size_t>(slot)]));
      }
    }
    args_ = {rows,
             input_.data(),
             input_.stride,
             problem.input == DType::i8 ? reinterpret_cast<const float*>(scales_.data()) : nullptr,
             scales_.stride,
             reinterpret_cast<const int32_t*>(expert_.data()),
             expert_.stride,
             experts_.packed(),
             output_.data(),
             output_.stride,
             is_whole(output_),
             experts_.packed_bias()};
  }
  const ExpertLinear::Args& args() const { return args_; }
  Rows& output() { return output_; }
  Rows& expert() { return expert_; }
  const PackedShape& shape() const { return experts_.shape(); }
  void reset() { output_.bytes.poison(); }

  std::string mismatch() {
    if (expected_.rows == 0) compute_expected();
    return rows_mismatch("output", output_, expected_, args_.pad_output, [&](int64_t row, int64_t column) {
      return tolerance_[static_cast<size_t>(row * output_.width + column)];
    });
  }

 private:
  void compute_expected() {
    expected_ = Rows::whole(problem_.output, args_.rows, problem_.slots_width());
    ExpertLinear::Args args = args_;
    args.output = expected_.data(), args.output_stride = expected_.stride;
    ExpertLinear::reference(problem_, args, layout_);
    tolerance_.resize(static_cast<size_t>(args_.rows * output_.width));
    const int64_t width = problem_.output_width();
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t column = 0; column < output_.width; ++column) {
        const int64_t slot = column / width, input_slot = problem_.shared ? 0 : slot;
        const auto sum = [&](int64_t output) {
          const auto expert = static_cast<int32_t>(expert_.get(row, slot));
          return bound_product(
              problem_.format, problem_.input, problem_.k,
              problem_.input == DType::i8 ? scales_.get(row, problem_.slot_scales ? slot : 0) : 1,
              [&](int64_t k) { return input_.get(row, input_slot * problem_.k + k); },
              experts_.rows(expert).data() + output * problem_.k, experts_.bias(int64_t{expert} * problem_.n + output));
        };
        tolerance_[static_cast<size_t>(row * output_.width + column)] = bound_output(
            problem_.activation, problem_.output, sum(column % width), [&] { return sum(width + column % width); }, 0,
            expected_.get(row, column));
      }
    }
  }

  ExpertLinear::Problem problem_;
  const WeightLayout& layout_;
  std::mt19937_64 random_;
  RandomExperts experts_;
  Rows input_, scales_, expert_, output_, expected_;
  std::vector<double> tolerance_;
  ExpertLinear::Args args_;
};

template <>
class KernelCase<WeightedSum> {
 public:
  static std::vector<WeightedSum::Problem> test_problems() {
    return {{64, 2, true}, {37, 8, false}, {205, 3, true}, {1, 1, false}, {1024, 2, false}};
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<WeightedSum>> bench_steps() {
    return {{{2048, 8, true}, 256, 0, 256.0 * 2048 * 10 * 4}, {{2048, 8, true}, 1, 0, 2048.0 * 10 * 4}};
  }
  KernelCase(const WeightedSum::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(DType::f32, rows, int64_t{problem.width} * problem.slots, seed / 2)),
        weight_(Rows::whole(DType::f32, rows, problem.slots)),
        residual_(Rows::whole(DType::f32, rows, problem.width)),
        output_(random_output(DType::f32, rows, problem.width, seed)) {
    input_.fill_random(random_);
    weight_.fill_random(random_);
    residual_.fill_random(random_);
    in_place_ = problem.residual && seed % 3 == 0;
    args_ = {rows,
             reinterpret_cast<const float*>(input_.data()),
             input_.stride,
             reinterpret_cast<const float*>(weight_.data()),
             weight_.stride,
             reinterpret_cast<const float*>(in_place_ ? output_.data() : residual_.data()),
             in_place_ ? output_.stride : residual_.stride,
             reinterpret_cast<float*>(output_.data()),
             output_.stride,
             is_whole(output_)};
  }
  const WeightedSum::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    if (!in_place_) return;
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < problem_.width; ++i) output_.set(row, i, residual_.get(row, i));
    }
  }
  std::string mismatch() {
    Rows expected = Rows::whole(DType::f32, args_.rows, problem_.width);
    WeightedSum::Args args = args_;
    args.residual = reinterpret_cast<const float*>(residual_.data()), args.residual_stride = residual_.stride;
    args.output = reinterpret_cast<float*>(expected.data()), args.output_stride = expected.stride;
    WeightedSum::reference(problem_, args);
    // A product and a sum a slot, each rounding what is bounded by the sum of the magnitudes; one more for the
    // residual.
    return rows_mismatch("output", output_, expected, args_.pad_output, [&](int64_t row, int64_t column) {
      double magnitude = problem_.residual ? std::abs(residual_.get(row, column)) : 0;
      for (int64_t slot = 0; slot < problem_.slots; ++slot) {
        magnitude += std::abs(weight_.get(row, slot) * input_.get(row, slot * problem_.width + column));
      }
      return (2 * problem_.slots + 2) * half_ulp_f32 * magnitude;
    });
  }

 private:
  WeightedSum::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, weight_, residual_, output_;
  bool in_place_ = false;
  WeightedSum::Args args_;
};

}  // namespace incipit
