// Random batches with slots: ResolveTokens and Sample.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel_case.h"
#include "kernels/batch.h"
#include "kernels/sampling.h"

namespace incipit {

/// The arrays of some slots, on the host.
struct HostSlots {
  HostSlots(int32_t slots, int32_t max_context, int32_t vocabulary)
      : states(static_cast<size_t>(slots)),
        history(static_cast<size_t>(slots * max_context), -1),
        prompt_counts(static_cast<size_t>(slots * vocabulary)),
        generated_counts(prompt_counts.size()),
        generated_from(states.size()),
        max_context(max_context),
        vocabulary(vocabulary) {}

  SlotArrays arrays() {
    return {states.data(), history.data(), prompt_counts.data(), generated_counts.data(), generated_from.data(),
            max_context,   vocabulary};
  }
  /// Everything but the parameters, which no kernel writes.
  bool operator==(const HostSlots& other) const {
    const auto same_state = [](const SlotState& a, const SlotState& b) {
      return a.last_token == b.last_token && a.length == b.length;
    };
    return std::equal(states.begin(), states.end(), other.states.begin(), same_state) && history == other.history &&
           prompt_counts == other.prompt_counts && generated_counts == other.generated_counts;
  }

  std::vector<SlotState> states;
  std::vector<int32_t> history;
  std::vector<uint16_t> prompt_counts, generated_counts;
  std::vector<int32_t> generated_from;
  int32_t max_context, vocabulary;
};

/// Empties a slot, and takes its history back to `length` tokens, as the steps do.
inline void reset_slot(HostSlots& slots, int32_t slot, int32_t generated_from) {
  SlotRequest request;
  request.generated_from = generated_from;
  ResetSlot::reference({slots.vocabulary}, {slots.arrays(), slot, &request});
}
inline void truncate_slot(HostSlots& slots, int32_t slot, int32_t length) {
  SlotRequest request;
  request.keep = length;
  TruncateSlot::reference({slots.vocabulary}, {slots.arrays(), slot, &request});
}

/// Appends a token to a slot's history, as the steps do.
inline void append_token(HostSlots& slots, int32_t slot, int32_t token) {
  const SequenceSpan span{slot, 0, 1, slots.states[static_cast<size_t>(slot)].length, 0, 0};
  int32_t id;
  ResolveTokens::reference({slots.vocabulary}, {1, &span, &token, slots.arrays(), &id});
}

/// Copies element by element: the arrays' addresses are in the arguments.
inline void copy_slots(HostSlots& to, const HostSlots& from) {
  std::copy(from.states.begin(), from.states.end(), to.states.begin());
  std::copy(from.history.begin(), from.history.end(), to.history.begin());
  std::copy(from.prompt_counts.begin(), from.prompt_counts.end(), to.prompt_counts.begin());
  std::copy(from.generated_counts.begin(), from.generated_counts.end(), to.generated_counts.begin());
  std::copy(from.generated_from.begin(), from.generated_from.end(), to.generated_from.begin());
}

template <>
class KernelCase<ResolveTokens> {
 public:
  static std::vector<ResolveTokens::Problem> test_problems() { return {{50}, {3}}; }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33}; }
  static std::vector<BenchStep<ResolveTokens>> bench_steps() { return {{{32000}, 1024, 0, 1024.0 * 16}}; }

  KernelCase(const ResolveTokens::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem), random_(seed), before_(8, 2048, problem.vocabulary), slots_(before_) {
    for (int32_t slot = 0; slot < 8; ++slot) {
      before_.generated_from[static_cast<size_t>(slot)] = static_cast<int32_t>(random_() % 8);
      for (uint64_t i = random_() % 10; i > 0; --i) append_token(before_, slot, token());
      before_.states[static_cast<size_t>(slot)].last_token = token();
    }
    for (int32_t slot = 7, left = rows; left > 0; --slot) {  // slots in another order than spans
      const int32_t share = slot == 5 ? left : std::min(left, 1 + static_cast<int32_t>(random_() % 5));
      spans_.push_back({slot, rows - left, share, before_.states[static_cast<size_t>(slot)].length, 0, 0});
      left -= share;
    }
    for (int32_t i = 0; i < rows; ++i) source_.push_back(random_() % 3 == 0 ? -1 : token());
    ids_.resize(source_.size());
    slots_ = before_;
    args_ = {static_cast<int32_t>(spans_.size()), spans_.data(), source_.data(), slots_.arrays(), ids_.data()};
  }
  const ResolveTokens::Args& args() const { return args_; }
  void reset() {
    copy_slots(slots_, before_);
    std::fill(ids_.begin(), ids_.end(), -7);
  }
  std::string mismatch() {
    HostSlots expected = before_;
    std::vector<int32_t> ids(ids_.size());
    ResolveTokens::Args args = args_;
    args.slots = expected.arrays();
    args.ids = ids.data();
    ResolveTokens::reference(problem_, args);
    return ids != ids_ ? "ids differ" : expected == slots_ ? "" : "the slots differ";
  }

 private:
  int32_t token() { return static_cast<int32_t>(random_() % static_cast<uint64_t>(problem_.vocabulary)); }
  ResolveTokens::Problem problem_;
  std::mt19937_64 random_;
  HostSlots before_, slots_;
  std::vector<SequenceSpan> spans_;
  std::vector<int32_t> source_, ids_;
  ResolveTokens::Args args_;
};

template <>
class KernelCase<Sample> {
 public:
  static std::vector<Sample::Problem> test_problems() { return {{1}, {5}, {33}, {1000}, {8192}}; }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33, 100}; }
  static std::vector<BenchStep<Sample>> bench_steps() {
    return {{{32000}, 1, 0, 32000.0 * 4}, {{128256}, 1, 0, 128256.0 * 4}};
  }

  KernelCase(const Sample::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem), random_(seed), slots_(rows, 64, problem.vocabulary) {
    for (int32_t slot = 0, left = rows; left > 0; ++slot) {
      const int32_t share = std::min(left, 1 + static_cast<int32_t>(random_() % 4));
      const int32_t tokens = share + static_cast<int32_t>(random_() % 3);
      const auto at = static_cast<size_t>(slot);
      slots_.generated_from[at] = static_cast<int32_t>(random_() % 20);
      slots_.states[at].parameters = random_parameters();
      for (uint64_t i = static_cast<uint64_t>(tokens) + random_() % 20; i > 0; --i) append_token(slots_, slot, token());
      SequenceSpan span{slot, 0, tokens, slots_.states[at].length - tokens, rows - left, share};
      for (int32_t i = 0; i < share; ++i) {
        row_sequence_.push_back(slot);
        row_positions_.push_back(span.first_position + tokens - share + i);
      }
      spans_.push_back(span);
      left -= share;
    }
    logits_ = Rows::view(DType::f32, rows, problem.vocabulary, problem.vocabulary + static_cast<int64_t>(seed % 5), 0);
    for (int32_t row = 0; row < rows; ++row) fill_logits(row);
    const size_t words = static_cast<size_t>((problem.vocabulary + 31) / 32);
    for (size_t i = 0; i < words * static_cast<size_t>(rows); ++i) {
      masks_.push_back(static_cast<uint32_t>(random_() & random_()));
    }
    for (int32_t row = 0; row < rows; ++row) row_masked_.push_back(random_() % 3 == 0);
    if (rows > 6) std::fill_n(masks_.begin() + static_cast<ptrdiff_t>(5 * words), words, 0u);  // nothing is allowed
    output_.resize(static_cast<size_t>(rows));
    for (SlotState& state : slots_.states) last_tokens_.push_back(state.last_token);
    args_ = {rows,
             static_cast<int32_t>(spans_.size()),
             spans_.data(),
             row_sequence_.data(),
             row_positions_.data(),
             reinterpret_cast<const float*>(logits_.data()),
             logits_.stride,
             seed % 4 == 0 ? nullptr : masks_.data(),
             row_masked_.data(),
             slots_.arrays(),
             output_.data()};
  }
  const Sample::Args& args() const { return args_; }
  void reset() {
    for (SampledRow& row : output_) std::memset(static_cast<void*>(&row), 0xff, sizeof row);
    for (size_t i = 0; i < last_tokens_.size(); ++i) slots_.states[i].last_token = last_tokens_[i];
  }

  std::string mismatch() {
    std::vector<int32_t> last_tokens;
    for (SlotState& state : slots_.states) last_tokens.push_back(state.last_token);
    if (expected_.empty()) {
      expected_.resize(output_.size());
      Sample::Args args = args_;
      args.output = expected_.data();
      Sample::reference(problem_, args);
      for (SlotState& state : slots_.states) expected_last_.push_back(state.last_token);
    }
    if (last_tokens != expected_last_) return "a slot's last token is wrong";
    for (size_t i = 0; i < output_.size(); ++i) {
      const SampledRow& got = output_[i];
      const SampledRow& want = expected_[i];
      const std::string row = "row " + std::to_string(i);
      if (got.id != want.id) return row + " drew " + std::to_string(got.id) + ", want " + std::to_string(want.id);
      if (!close(got.logprob, want.logprob)) {
        return row + " has logprob " + std::to_string(got.logprob) + ", want " + std::to_string(want.logprob);
      }
      if (got.top_count != want.top_count || got.top_ids != want.top_ids) return row + " has other top tokens";
      for (size_t j = 0; j < got.top_logprobs.size(); ++j) {
        if (!close(got.top_logprobs[j], want.top_logprobs[j])) return row + " has another top logprob";
      }
    }
    return "";
  }

 private:
  /// The sum of exponentials is in parts of at most 4096 floats: its logarithm errs by that many roundings at most, and
  /// the difference rounds once.
  static bool close(double got, double want) {
    return got == want || std::abs(got - want) <= 4100 * half_ulp_f32 + half_ulp_f32 * std::abs(want);
  }
  int32_t token() { return static_cast<int32_t>(random_() % static_cast<uint64_t>(problem_.vocabulary)); }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(random_); }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[random_() % values.size()];
  }

  SamplingParameters random_parameters() {
    SamplingParameters parameters;
    parameters.temperature = pick({0.0f, 1.0f, 0.7f, 1e-6f, 50.0f, real(0.1f, 2)});
    parameters.top_k = pick({0, 0, 1, 2, 40, 1 << 20});
    parameters.top_p = pick({1.0f, 1.0f, 0.9f, 0.0f, 1e-3f, real(0, 1)});
    parameters.min_p = pick({0.0f, 0.0f, 0.05f, 1.0f, real(0, 1)});
    parameters.repetition_penalty = pick({1.0f, 1.3f, 0.8f});
    parameters.frequency_penalty = pick({0.0f, 0.5f, -1.0f});
    parameters.presence_penalty = pick({0.0f, 0.7f, -0.3f});
    parameters.seed = random_();
    parameters.top_logprobs = pick({0, 1, 5, max_top_logprobs});
    parameters.biases = pick({0, 0, 3, SamplingParameters::max_biases});
    for (size_t i = 0; i < static_cast<size_t>(parameters.biases); ++i) {
      parameters.bias_ids[i] = token();
      parameters.bias_values[i] = pick({-100.0f, 100.0f, real(-3, 3)});
    }
    return parameters;
  }

  void fill_logits(int32_t row) {
    const float spread = pick({0.5f, 3.0f, 30.0f});
    const uint64_t kind = random_() % 6;  // three smooth kinds, one of ties, one with odd values, one of nothing
    for (int32_t id = 0; id < problem_.vocabulary; ++id) {
      float logit = std::normal_distribution<float>(0, spread)(random_);
      if (kind == 3) logit = std::round(logit);
      if (kind == 4 && random_() % 3 == 0) {
        constexpr float infinity = std::numeric_limits<float>::infinity();
        logit = pick({std::nanf(""), -infinity, infinity, -0.0f, 0.0f, 3e38f, -3e38f});
      }
      if (kind == 5 && row % 3 == 0)
        logit = random_() % 2 == 0 ? std::nanf("") : -std::numeric_limits<float>::infinity();
      logits_.set(row, id, logit);
    }
  }

  Sample::Problem problem_;
  std::mt19937_64 random_;
  HostSlots slots_;
  std::vector<SequenceSpan> spans_;
  std::vector<int32_t> row_sequence_, row_positions_;
  Rows logits_;
  std::vector<uint32_t> masks_;
  std::vector<uint8_t> row_masked_;
  std::vector<SampledRow> output_, expected_;
  std::vector<int32_t> last_tokens_, expected_last_;
  Sample::Args args_;
};

}  // namespace incipit
