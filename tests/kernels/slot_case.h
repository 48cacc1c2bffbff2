// Random requests of slots, and the end of a step: ResetSlot, TruncateSlot and Publish.
#pragma once

#include <algorithm>

#include "sampling_case.h"

namespace incipit {

/// One slot of three, with a history, asked for something.
template <typename Family>
class SlotRequestCase {
 public:
  static std::vector<typename Family::Problem> test_problems() { return {{50}, {3}}; }
  static std::vector<int32_t> test_rows() { return {1, 40}; }
  static std::vector<BenchStep<Family>> bench_steps() { return {{{32000}, 1, 0, 32000.0 * 4}}; }

  /// `rows`: tokens of the history.
  SlotRequestCase(const typename Family::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem), before_(3, 128, problem.vocabulary), slots_(before_) {
    std::mt19937_64 random(seed);
    before_.generated_from[1] = static_cast<int32_t>(random() % 20);
    for (int32_t i = 0; i < rows; ++i) {
      append_token(before_, 1, static_cast<int32_t>(random() % static_cast<uint64_t>(problem.vocabulary)));
    }
    request_.parameters.temperature = 0.5f;
    request_.generated_from = static_cast<int32_t>(random() % 20);
    request_.known = request_.keep = static_cast<int32_t>(random() % static_cast<uint64_t>(rows + 1));
    slots_ = before_;
    args_ = {slots_.arrays(), 1, &request_};
  }
  const typename Family::Args& args() const { return args_; }
  void reset() { copy_slots(slots_, before_); }
  std::string mismatch() {
    HostSlots expected = before_;
    typename Family::Args args = args_;
    args.slots = expected.arrays();
    Family::reference(problem_, args);
    return expected == slots_ && expected.generated_from == slots_.generated_from ? "" : "the slots differ";
  }

 private:
  typename Family::Problem problem_;
  HostSlots before_, slots_;
  SlotRequest request_;
  typename Family::Args args_;
};

template <>
class KernelCase<ResetSlot> : public SlotRequestCase<ResetSlot> {
  using SlotRequestCase::SlotRequestCase;
};

template <>
class KernelCase<TruncateSlot> : public SlotRequestCase<TruncateSlot> {
  using SlotRequestCase::SlotRequestCase;
};

template <>
class KernelCase<Publish> {
 public:
  static std::vector<Publish::Problem> test_problems() { return {{}}; }
  static std::vector<int32_t> test_rows() { return {1}; }
  static std::vector<BenchStep<Publish>> bench_steps() { return {{{}, 1, 0, 8.0}}; }

  KernelCase(const Publish::Problem&, int32_t, uint64_t seed) : args_{seed, &done_} {}
  const Publish::Args& args() const { return args_; }
  void reset() { done_ = 0; }
  std::string mismatch() const { return done_ == args_.step ? "" : "another step is published"; }

 private:
  uint64_t done_ = 0;
  Publish::Args args_;
};

}  // namespace incipit
