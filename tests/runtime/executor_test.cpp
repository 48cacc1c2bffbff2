#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "device/host_memory.h"
#include "device/memory_ahead.h"
#include "runtime/allocation_count.h"
#include "runtime/tiny_model.h"
#include "support/sequences.h"

namespace incipit {
namespace {

/// An executor on the device that the engine is for.
std::unique_ptr<Executor> open_executor(const TinyEngine& tiny, int threads, const ExecutorOptions& options = {}) {
  auto engine = tiny.open();
  auto device = make_device(engine->target(), threads);
  return std::make_unique<Executor>(std::move(engine), std::move(device), options);
}

float largest(std::span<const float> values) {
  float result = 0;
  for (float value : values) result = std::max(result, std::abs(value));
  return result;
}

/// f32 sums in another order than the reference's: some hundred roundings.
void expect_close(std::span<const float> actual, std::span<const float> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  const float tolerance = 2e-5f * largest(expected);
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance) << "row " << i / TinyModel::vocabulary;
  }
}

std::span<const float> rows_of(std::span<const float> logits, size_t first, size_t count) {
  return logits.subspan(first * TinyModel::vocabulary, count * TinyModel::vocabulary);
}

int32_t greedy(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

class ExecutorTest : public ::testing::TestWithParam<Backend> {
 protected:
  static const TinyEngine& tiny() {
    static const TinyEngine of_processors;
    static const TinyEngine of_the_shadow({}, shadow);
    return GetParam() == Backend::cpu ? of_processors : of_the_shadow;
  }
  static std::unique_ptr<Executor> make(const ExecutorOptions& options = {}) {
    return open_executor(tiny(), 2, options);
  }
};

TEST_P(ExecutorTest, LimitsAreThePlans) {
  const auto executor = make();
  const ExecutorLimits& limits = executor->limits();
  EXPECT_EQ(limits.vocabulary, TinyModel::vocabulary);
  EXPECT_EQ(limits.max_context, TinyModel::max_context);
  EXPECT_EQ(limits.slots, TinyModel::slots);
  EXPECT_EQ(limits.max_tokens, TinyModel::max_tokens);
  EXPECT_EQ(limits.max_rows, TinyModel::max_rows);
  ASSERT_EQ(limits.groups.size(), 1u);
  EXPECT_EQ(limits.groups[0].pages, 4 * TinyModel::max_context / tiny().model.page_tokens());
  const Executor::Memory memory = executor->memory();
  EXPECT_EQ(memory.pages, limits.groups[0].pages * limits.groups[0].page_bytes);
  EXPECT_GT(memory.weights, 0);
  EXPECT_GT(memory.arena, 0);
  EXPECT_GT(memory.state, 0);
}

TEST_P(ExecutorTest, LogitsAreTheModelsHoweverTheTextIsCut) {
  const std::vector<int32_t> text = some_text(37, 5);
  const std::vector<float> expected = tiny().model.forward(text);
  const auto executor = make();
  for (const std::vector<int32_t>& sizes :
       std::vector<std::vector<int32_t>>{{37}, {1}, {3, 1, 7}, {16}, {17, 2}, {5, 30}}) {
    Sequences sequences(executor->limits(), static_cast<uint32_t>(sizes.size()));
    Sequence sequence = sequences.add();
    executor->configure(sequence.slot, {}, 0);
    expect_close(logits_in_chunks(*executor, sequence, text, sizes), expected);
  }
}

TEST(Executors, ALongContextIsTheSameSplitOverWorkers) {
  constexpr int32_t context = 2500;
  const TinyEngine engine([](plan::PlanT& plan) { plan.max_context = context; });
  const std::vector<int32_t> text = some_text(context, 11);
  const auto last_logits = [&](int threads) {
    Executor executor(engine.open(), make_cpu_device(threads));
    const Executor small(TinyEngine().open(), make_cpu_device(1));
    EXPECT_GT(executor.memory().arena, small.memory().arena) << "no place for the parts to meet";
    Sequences sequences(executor.limits());
    Sequence sequence = sequences.add();
    executor.configure(sequence.slot, {}, 0);
    const size_t prompt = text.size() - 4;
    for (size_t begin = 0; begin < prompt; begin += TinyModel::max_tokens) {
      const size_t end = std::min(begin + TinyModel::max_tokens, prompt);
      ids_of(executor,
             std::vector<Share>{{&sequence,
                                 {text.begin() + static_cast<int64_t>(begin), text.begin() + static_cast<int64_t>(end)},
                                 {},
                                 {}}});
    }
    return logits_in_chunks(executor, sequence, std::span(text).subspan(prompt), {1});
  };
  const std::vector<float> whole = last_logits(1);
  for (const int threads : {2, 5}) EXPECT_EQ(last_logits(threads), whole) << threads << " threads";
}

TEST_P(ExecutorTest, ASequenceIsItselfInAMixedBatch) {
  const auto executor = make();
  Sequences sequences(executor->limits());
  // Prompts of several lengths, in chunks, while others decode: every share of every step has its own row.
  struct Text {
    std::vector<int32_t> tokens;
    std::vector<float> expected;
    Sequence sequence;
    size_t chunk;
  };
  std::vector<Text> texts;
  for (const auto& [length, chunk] : std::vector<std::pair<size_t, size_t>>{{60, 13}, {31, 1}, {44, 21}, {9, 2}}) {
    Text text{some_text(length, static_cast<uint32_t>(length)), {}, sequences.add(), chunk};
    text.expected = tiny().model.forward(text.tokens);
    executor->configure(text.sequence.slot, {}, 0);
    texts.push_back(std::move(text));
  }
  for (bool more = true; more;) {
    std::vector<Share> shares;
    std::vector<std::pair<const Text*, size_t>> rows;  // text and first position
    std::vector<size_t> counts;
    for (Text& text : texts) {
      const auto begin = static_cast<size_t>(text.sequence.position);
      const size_t size = std::min(text.chunk, text.tokens.size() - begin);
      if (size == 0) continue;
      const auto first = text.tokens.begin() + static_cast<int64_t>(begin);
      shares.push_back({&text.sequence, {first, first + static_cast<int64_t>(size)}, all_rows(size), {}});
      rows.emplace_back(&text, begin);
      counts.push_back(size);
    }
    more = !shares.empty();
    if (!more) break;
    const std::vector<float> logits = logits_of(*executor, shares);
    size_t row = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      expect_close(rows_of(logits, row, counts[i]), rows_of(rows[i].first->expected, rows[i].second, counts[i]));
      row += counts[i];
    }
  }
}

TEST_P(ExecutorTest, OnlyTheRowsAskedForComeBack) {
  const std::vector<int32_t> text = some_text(24, 9);
  const std::vector<float> expected = tiny().model.forward(text);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence a = sequences.add(), b = sequences.add();
  for (const Sequence* sequence : {&a, &b}) executor->configure(sequence->slot, {}, 0);
  const std::vector<int32_t> head(text.begin(), text.begin() + 10), tail(text.begin() + 10, text.end());
  // No row at all, in the whole step and in one of its sequences.
  EXPECT_TRUE(ids_of(*executor, std::vector<Share>{{&a, head, {}, {}}}).empty());
  const std::vector<float> logits =
      logits_of(*executor, std::vector<Share>{{&a, tail, {}, {}}, {&b, text, {0, 11, 23}, {}}});
  ASSERT_EQ(logits.size(), 3u * TinyModel::vocabulary);
  expect_close(rows_of(logits, 0, 1), rows_of(expected, 0, 1));
  expect_close(rows_of(logits, 1, 1), rows_of(expected, 11, 1));
  expect_close(rows_of(logits, 2, 1), rows_of(expected, 23, 1));
}

TEST_P(ExecutorTest, SamplesFeedTheNextStepWithoutTheHost) {
  const std::vector<int32_t> text = some_text(12, 3);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence known = sequences.add(), ahead = sequences.add(), stranger = sequences.add();
  for (const Sequence* sequence : {&known, &ahead, &stranger}) executor->configure(sequence->slot, {}, 12);

  std::vector<int32_t> expected = ids_of(*executor, std::vector<Share>{{&known, text, {11}, {}}});
  for (int i = 0; i < 40; ++i) {
    const int32_t last = expected.back();
    expected.push_back(ids_of(*executor, std::vector<Share>{{&known, {last}, {0}, {}}})[0]);
  }
  std::vector<int32_t> so_far = text;
  so_far.insert(so_far.end(), expected.begin(), expected.end() - 1);
  const std::vector<float> logits = tiny().model.forward(so_far);
  EXPECT_EQ(expected.back(), greedy(rows_of(logits, so_far.size() - 1, 1)));

  // Two tickets in flight; another sequence comes and goes in between.
  std::vector<int32_t> ids;
  Ticket before = submit(*executor, std::vector<Share>{{&ahead, text, {11}, {}}});
  for (int i = 0; i < 40; ++i) {
    std::vector<Share> shares{{&ahead, {}, {0}, {}}};
    if (i % 3 == 0) shares.insert(shares.begin(), {&stranger, some_text(2, static_cast<uint32_t>(i)), {1}, {}});
    const Ticket next = submit(*executor, shares);
    ids.push_back(executor->collect(before).back().id);
    before = next;
  }
  ids.push_back(executor->collect(before).back().id);
  EXPECT_EQ(ids, expected);
}

TEST_P(ExecutorTest, ResultsStayUntilTheSecondSubmitAfterThem) {
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence a = sequences.add(), b = sequences.add();
  for (const Sequence* sequence : {&a, &b}) executor->configure(sequence->slot, {}, 0);
  const Ticket first = submit(*executor, std::vector<Share>{{&a, {1, 2, 3}, {0, 1, 2}, {}}});
  const std::span<const SampledRow> rows = executor->collect(first);
  const std::vector<int32_t> ids{rows[0].id, rows[1].id, rows[2].id};
  const Ticket second = submit(*executor, std::vector<Share>{{&b, {4, 5}, {0, 1}, {}}});
  executor->collect(second);
  EXPECT_THAT(ids, ::testing::ElementsAre(rows[0].id, rows[1].id, rows[2].id));
}

/// Penalties make the draw depend on all tokens so far, and seeds on the position.
SamplingParameters lively(uint64_t seed) {
  SamplingParameters parameters;
  parameters.temperature = 1.5f;
  parameters.repetition_penalty = 1.4f;
  parameters.frequency_penalty = 0.3f;
  parameters.presence_penalty = 0.2f;
  parameters.top_p = 0.95f;
  parameters.seed = seed;
  return parameters;
}

TEST_P(ExecutorTest, TruncatedTokensNeverWere) {
  const std::vector<int32_t> text = some_text(20, 8), wrong = some_text(9, 80);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence straight = sequences.add(), detour = sequences.add();
  for (const Sequence* sequence : {&straight, &detour}) executor->configure(sequence->slot, lively(4), 15);

  std::vector<int32_t> expected = ids_of(*executor, std::vector<Share>{{&straight, text, {19}, {}}});
  for (int i = 0; i < 12; ++i) {
    expected.push_back(ids_of(*executor, std::vector<Share>{{&straight, {expected.back()}, {0}, {}}})[0]);
  }

  const auto go_astray = [&](int32_t length) {
    ids_of(*executor, std::vector<Share>{{&detour, wrong, {3, 8}, {}}});
    ids_of(*executor, std::vector<Share>{{&detour, {}, {0}, {}}});
    executor->truncate(detour.slot, length);
    detour.position = length;
  };
  const std::vector<int32_t> head(text.begin(), text.begin() + 11), tail(text.begin() + 11, text.end());
  ids_of(*executor, std::vector<Share>{{&detour, head, {}, {}}});
  go_astray(11);
  std::vector<int32_t> ids = ids_of(*executor, std::vector<Share>{{&detour, tail, {8}, {}}});
  for (int i = 0; i < 12; ++i) {
    if (i % 4 == 1) go_astray(20 + i);
    ids.push_back(ids_of(*executor, std::vector<Share>{{&detour, {ids.back()}, {0}, {}}})[0]);
  }
  EXPECT_EQ(ids, expected);
}

/// Feeds tokens of which none is sampled.
void feed(Executor& executor, Sequence& sequence, std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<size_t>(tokens.size(), TinyModel::max_tokens));
    ids_of(executor, std::vector<Share>{{&sequence, {part.begin(), part.end()}, {}, {}}});
    tokens = tokens.subspan(part.size());
  }
}

TEST_P(ExecutorTest, ACopiedPageIsTheSequencesOwn) {
  const int32_t page = tiny().model.page_tokens();
  const auto known = static_cast<size_t>(page + 4);
  const std::vector<int32_t> text = some_text(known + 10, 21);
  const std::vector<float> expected = tiny().model.forward(text);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence original = sequences.add(), fork = sequences.add();
  for (const Sequence* sequence : {&original, &fork}) executor->configure(sequence->slot, {}, 0);
  feed(*executor, original, std::span(text).first(known));
  // The first page is shared, the second copied; then the original writes other tokens over its own second page.
  executor->copy_page(0, original.pages[0][1], fork.pages[0][1]);
  fork.pages[0][0] = original.pages[0][0];
  fork.position = page + 4;
  original.position = page;
  feed(*executor, original, some_text(16, 2));
  const std::vector<int32_t> tail(text.end() - 10, text.end());
  expect_close(logits_of(*executor, std::vector<Share>{{&fork, tail, all_rows(10), {}}}), rows_of(expected, known, 10));
}

TEST_P(ExecutorTest, AHistoryBegunWithKnownTokensIsThatOfOneWhoComputedThem) {
  const int32_t known = std::max(32, tiny().model.page_tokens());
  const std::vector<int32_t> text = some_text(static_cast<size_t>(known) + 8, 9);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence computed = sequences.add(), begun = sequences.add();
  const SamplingParameters parameters = lively(5);  // with penalties
  // Some of the cached tokens were generated, as those of a sequence that was preempted are.
  executor->configure(computed.slot, parameters, 20);
  const std::vector<int32_t> head(text.begin(), text.begin() + known), tail(text.begin() + known, text.end());
  ids_of(*executor, std::vector<Share>{{&computed, head, {}, {}}});
  executor->configure(begun.slot, parameters, 20, head);
  for (size_t g = 0; g < begun.pages.size(); ++g) {
    for (size_t page = 0; page < static_cast<size_t>(known / executor->limits().groups[g].page_tokens); ++page) {
      begun.pages[g][page] = computed.pages[g][page];
    }
  }
  begun.position = known;
  std::vector<std::vector<int32_t>> ids;
  for (Sequence* sequence : {&computed, &begun}) {
    ids.push_back(ids_of(*executor, std::vector<Share>{{sequence, tail, {7}, {}}}));
    for (int i = 0; i < 20; ++i)
      ids.back().push_back(ids_of(*executor, std::vector<Share>{{sequence, {}, {0}, {}}})[0]);
  }
  EXPECT_EQ(ids[1], ids[0]);
}

TEST_P(ExecutorTest, SlotsDrawByTheirOwnParameters) {
  const std::vector<int32_t> text = some_text(10, 6);
  const std::vector<float> logits = tiny().model.forward(text);
  const std::span<const float> last = rows_of(logits, 9, 1);
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence plain = sequences.add(), biased = sequences.add(), masked = sequences.add(), drawn = sequences.add();
  executor->configure(plain.slot, {}, 10);
  SamplingParameters bias;
  bias.biases = 1;
  bias.bias_ids[0] = 33;
  bias.bias_values[0] = 1000;
  bias.top_logprobs = 3;
  executor->configure(biased.slot, bias, 10);
  executor->configure(masked.slot, {}, 10);
  executor->configure(drawn.slot, lively(77), 10);
  std::vector<uint32_t> mask((TinyModel::vocabulary + 31) / 32, 0);
  mask[7 / 32] |= 1u << (7 % 32);
  mask[70 / 32] |= 1u << (70 % 32);

  const std::span<const SampledRow> rows = executor->collect(submit(
      *executor,
      std::vector<Share>{
          {&plain, text, {9}, {}}, {&biased, text, {9}, {}}, {&masked, text, {9}, mask}, {&drawn, text, {9}, {}}}));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].id, greedy(last));
  EXPECT_EQ(rows[0].top_count, 0);
  EXPECT_EQ(rows[1].id, 33);
  ASSERT_EQ(rows[1].top_count, 3);
  EXPECT_EQ(rows[1].top_ids[0], greedy(last));
  EXPECT_EQ(rows[2].id, last[7] >= last[70] ? 7 : 70);
  double sum = 0;
  for (float logit : last) sum += std::exp(logit - last[33]);
  EXPECT_NEAR(rows[1].logprob, -std::log(sum), 1e-4);
}

TEST_P(ExecutorTest, PenaltiesSeeTheWholeHistoryAndANewSequenceNone) {
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence sequence = sequences.add();
  SamplingParameters parameters;
  parameters.frequency_penalty = 100;  // what was generated does not come again
  for (int round = 0; round < 2; ++round) {
    executor->configure(sequence.slot, parameters, 1);
    sequence.position = 0;
    std::vector<int32_t> ids = ids_of(*executor, std::vector<Share>{{&sequence, {5}, {0}, {}}});
    for (int i = 0; i < 60; ++i) ids.push_back(ids_of(*executor, std::vector<Share>{{&sequence, {}, {0}, {}}})[0]);
    EXPECT_EQ(std::set<int32_t>(ids.begin(), ids.end()).size(), ids.size());
    EXPECT_EQ(ids[0], greedy(rows_of(tiny().model.forward(std::vector<int32_t>{5}), 0, 1)));
  }
}

TEST_P(ExecutorTest, NothingIsAllocatedInAStep) {
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence a = sequences.add(), b = sequences.add();
  const std::vector<int32_t> text = some_text(50, 1);
  const std::vector<std::span<const int32_t>> pages_a(a.pages.begin(), a.pages.end());
  const std::vector<std::span<const int32_t>> pages_b(b.pages.begin(), b.pages.end());
  const std::vector<int32_t> last_row{49}, first_row{0};
  const std::vector<uint32_t> mask((TinyModel::vocabulary + 31) / 32, 0xf0f0f0f0);
  const SamplingParameters parameters = lively(3);
  {
    const AllocationCount allocations;
    executor->configure(a.slot, parameters, 50);
    executor->configure(b.slot, parameters, 0);
    const BatchEntry prompt{a.slot, text, 0, pages_a, last_row, mask};
    Ticket before = executor->submit({{&prompt, 1}});
    for (int32_t i = 0; i < 10; ++i) {
      const std::array<BatchEntry, 2> entries{
          BatchEntry{a.slot, {}, 50 + i, pages_a, first_row, {}},
          BatchEntry{b.slot, std::span(text).subspan(0, 2), 2 * i, pages_b, first_row, mask}};
      const Ticket next = executor->submit({entries});
      executor->collect(before);
      before = next;
    }
    executor->truncate(a.slot, 55);
    executor->copy_page(0, a.pages[0][0], b.pages[0].back());
    executor->collect(before);
    // References on the shadow's own thread may allocate.
    EXPECT_EQ(executor->device().target().backend == Backend::shadow ? allocations.count_here() : allocations.count(),
              0);
  }
}

TEST(MemoryAheadOfSteps, IsAskedForWithoutAllocating) {
  HostMemory memory(size_t{9} << 20, "a test");
  MemoryAhead ahead;
  ahead.add(memory.data(), memory.size());
  const AllocationCount allocations;
  ahead.wait(std::chrono::minutes(5));  // false on a system that cannot be asked
  EXPECT_EQ(allocations.count(), 0);
}

TEST_P(ExecutorTest, AProfileNamesEveryStepThatRan) {
  ExecutorOptions options;
  options.profile = true;
  const auto executor = make(options);
  Sequences sequences(executor->limits());
  Sequence sequence = sequences.add();
  ids_of(*executor, std::vector<Share>{{&sequence, some_text(30, 1), {29}, {}}});
  ids_of(*executor, std::vector<Share>{{&sequence, {}, {0}, {}}});
  const std::vector<StepTime> times = executor->take_profile();
  const size_t steps = tiny().open()->plan().steps()->size() + 2;
  EXPECT_EQ(times.size(), 2 * steps);  // two buckets
  EXPECT_EQ(times.front().name, "resolve_tokens");
  EXPECT_EQ(times.back().name, "sample");
  for (const StepTime& time : times) {
    EXPECT_GT(time.milliseconds, 0);
    EXPECT_FALSE(time.problem.empty());
    EXPECT_THAT(time.kernel, ::testing::HasSubstr("/"));
  }
  EXPECT_TRUE(executor->take_profile().empty());
}

TEST_P(ExecutorTest, ShowsWhatEachStepWrote) {
  std::map<std::string, std::vector<float>> last;
  ExecutorOptions options;
  options.observe = [&](const ObservedBuffer& buffer) {
    if (buffer.dtype != DType::f32) return;
    std::vector<float>& values = last[std::string(buffer.step)];
    values.clear();
    for (int32_t row = 0; row < buffer.rows; ++row) {
      const auto* begin = reinterpret_cast<const float*>(buffer.data) + row * buffer.stride;
      values.insert(values.end(), begin, begin + buffer.width);
    }
  };
  const auto executor = make(options);
  Sequences sequences(executor->limits());
  Sequence sequence = sequences.add();
  executor->configure(sequence.slot, {}, 0);
  const std::vector<int32_t> text = some_text(5, 3);
  const std::vector<float> logits = logits_in_chunks(*executor, sequence, text, {5});
  EXPECT_EQ(last.at("head"), logits);
  // The embedding's rows are the table's.
  ASSERT_EQ(last.at("embed").size(), text.size() * TinyModel::hidden);
  EXPECT_NE(last.at("embed"), std::vector<float>(last.at("embed").size()));
}

TEST_P(ExecutorTest, TheExecutorMayGoWhileWorkIsQueued) {
  const auto executor = make();
  Sequences sequences(executor->limits());
  Sequence sequence = sequences.add();
  submit(*executor, std::vector<Share>{{&sequence, some_text(60, 1), {59}, {}}});
  submit(*executor, std::vector<Share>{{&sequence, {}, {0}, {}}});
}

INSTANTIATE_TEST_SUITE_P(All, ExecutorTest, ::testing::Values(Backend::cpu, Backend::shadow),
                         [](const auto& test) { return test.param == Backend::cpu ? "cpu" : "shadow"; });

TEST(Executors, TheShadowComputesWhatTheProcessorDoes) {
  std::vector<std::vector<float>> logits;
  for (const Target& target : {Target(), shadow}) {
    const auto executor = open_executor(TinyEngine({}, target), 2);
    Sequences sequences(executor->limits());
    Sequence sequence = sequences.add();
    logits.push_back(logits_in_chunks(*executor, sequence, some_text(40, 2), {9, 1}));
  }
  expect_close(logits[1], logits[0]);
}

}  // namespace
}  // namespace incipit
