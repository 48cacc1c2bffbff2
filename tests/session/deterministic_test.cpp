// Engines built with --deterministic: the same bits and the same text, whatever runs beside a sequence and however it
// is cut into steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "engine/plan_items.h"
#include "golden.h"
#include "session/session.h"
#include "support/driver.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

constexpr int32_t max_context = 160;

/// Tuned, so that buckets would differ.
std::shared_ptr<const Engine> deterministic_engine(const std::string& model, const std::string& precision,
                                                   const std::string& target) {
  static const TemporaryDirectory directory;
  static std::map<std::string, std::shared_ptr<const Engine>> made;
  const std::string name = model + "-" + precision + "-" + target;
  auto& engine = made[name];
  if (!engine) {
    CompileOptions options;
    set_precision(options, precision);
    options.target = target;
    options.max_batch = 4;
    options.max_context = max_context;
    options.deterministic = true;
    engine = compile_for_test(fixtures() / "reference" / model, directory / name, options);
  }
  return engine;
}

std::vector<int32_t> random_text(size_t length, uint32_t seed, int32_t vocabulary) {
  std::mt19937 random(seed);
  std::vector<int32_t> text(length);
  for (int32_t& id : text) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary));
  return text;
}

class Deterministic : public testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {
 protected:
  std::shared_ptr<const Engine> engine() const { return std::apply(deterministic_engine, GetParam()); }
};

TEST_P(Deterministic, EveryStepHasOneKernelForAllBuckets) {
  for (const plan::Step* step : items(engine()->plan().steps())) {
    std::set<std::string> kernels;
    for (const plan::KernelUse* use : items(step->kernels())) {
      kernels.insert(std::string(text(use->kernel())) + " " + std::string(text(use->config())));
    }
    EXPECT_EQ(kernels.size(), 1U) << text(step->name());
  }
}

TEST_P(Deterministic, LogitsAreTheSameBitsInAnyChunksAndCompany) {
  const int32_t vocabulary = static_cast<int32_t>(engine()->plan().vocabulary());
  const std::vector<int32_t> subject = random_text(60, 1, vocabulary), other = random_text(150, 2, vocabulary);
  const auto run = [&](int threads, std::vector<size_t> chunks, size_t company) {
    Driver driver(engine(), threads);
    driver.start(0);
    driver.start(1);
    std::vector<float> all;
    for (size_t begin = 0, i = 0; begin < subject.size(); ++i) {
      const size_t size = std::min(chunks[i % chunks.size()], subject.size() - begin);
      const auto part = [&](const std::vector<int32_t>& from, size_t count) {
        const auto first = from.begin() + static_cast<int64_t>(begin);
        return std::vector<int32_t>(first, first + static_cast<int64_t>(count));
      };
      std::vector<Feed> feeds;
      const size_t beside = std::min(company, other.size() - static_cast<size_t>(driver.position(1)));
      if (beside > 0) {
        const auto first = other.begin() + driver.position(1);
        feeds.push_back({1, {first, first + static_cast<int64_t>(beside)}, {}});
      }
      feeds.push_back({0, part(subject, size), {}});
      for (size_t row = 0; row < size; ++row) feeds.back().rows.push_back(static_cast<int32_t>(row));
      const Ticket ticket = driver.submit(feeds, true);
      driver.executor().collect(ticket);
      const std::span<const float> logits = driver.executor().logits(ticket);
      all.insert(all.end(), logits.begin(), logits.end());
      begin += size;
    }
    return all;
  };
  const std::vector<float> expected = run(1, {60}, 0);
  EXPECT_EQ(run(3, {60}, 0), expected) << "threads";
  EXPECT_EQ(run(2, {1}, 0), expected) << "token by token";
  EXPECT_EQ(run(2, {7, 1, 30}, 0), expected) << "chunks";
  EXPECT_EQ(run(2, {40}, 75), expected) << "company";
  EXPECT_EQ(run(1, {3, 30}, 1), expected) << "chunks and company";
}

TEST_P(Deterministic, TextIsTheSameInAnyBatchAndBehindAnyPrefix) {
  SessionOptions options;
  const int32_t vocabulary = static_cast<int32_t>(engine()->plan().vocabulary());
  const std::vector<int32_t> beginning = random_text(70, 3, vocabulary);
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 8; ++i) {
    Request request;
    request.prompt = beginning;
    request.prompt.resize(40 + 4 * i);
    for (const int32_t id : random_text(i * 5 % 13, 10 + i, vocabulary)) request.prompt.push_back(id);
    request.max_new_tokens = 24;
    request.ignore_end = true;
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.5f;
    request.sampling.repetition_penalty = i % 3 == 0 ? 1.3f : 1.0f;
    request.sampling.frequency_penalty = i % 4 == 1 ? 0.5f : 0.0f;
    request.sampling.seed = i;
    requests.push_back(request);
  }
  const auto run = [&](int threads, int32_t chunk, bool cache, bool together) {
    options.threads = threads;
    options.prefill_chunk = chunk;
    options.prefix_cache = cache;
    Session session(engine(), options);
    int32_t cached = 0;
    std::vector<std::vector<SampledRow>> rows(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      session.submit(requests[i], [&rows, &cached, i](const TokenEvent& event) {
        rows[i].push_back(event.token);
        cached += event.finish != FinishReason::none ? event.cached_tokens : 0;
      });
      if (!together) session.run();
    }
    session.run();
    EXPECT_EQ(cached > 0, cache);
    std::vector<std::pair<int32_t, float>> found;
    for (const auto& of_one : rows) {
      for (const SampledRow& row : of_one) found.emplace_back(row.id, row.logprob);
    }
    return found;
  };
  const auto expected = run(1, 0, false, false);
  EXPECT_EQ(expected.size(), 8U * 24);
  EXPECT_EQ(run(1, 0, true, false), expected) << "behind prefixes";
  EXPECT_EQ(run(2, 0, false, true), expected) << "in a batch";
  EXPECT_EQ(run(3, 5, true, true), expected) << "in a batch, in chunks, behind prefixes";
}

std::vector<std::string> precisions() {
  if (sanitized) return {"int8"};
  return {"f32", "bf16", "fp16", "int8"};
}

std::string case_name(const testing::TestParamInfo<std::tuple<std::string, std::string, std::string>>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_" + std::get<2>(info.param);
  std::ranges::replace(name, '-', '_');
  return name;
}

// Plain attention; windows and soft caps; experts.
INSTANTIATE_TEST_SUITE_P(All, Deterministic,
                         testing::Combine(testing::Values("llama-gqa-tied", "gemma2", "mixtral"),
                                          testing::ValuesIn(precisions()), testing::Values("native")),
                         case_name);
// Windows, and keys and values in int8.
INSTANTIATE_TEST_SUITE_P(Coded, Deterministic, testing::Values(std::tuple("gemma2", "f32-kv8", "native")), case_name);
INSTANTIATE_TEST_SUITE_P(Shadow, Deterministic, testing::Values(std::tuple("llama-gqa-tied", "int8", "shadow")),
                         case_name);

}  // namespace
}  // namespace incipit
