// What Transformers computed, against every way this program can compute it: each kernel family of this machine, whole
// prompts, odd chunks, token by token, alone and in a mixed batch, on the CPU device and behind the shadow device.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>

#include "import/safetensors.h"
#include "support/driver.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

/// Of the largest logit. The project promises 1e-4 in f32, and is ten times closer: the roundings of f32 leave less
/// than 2e-6 here. bf16 keeps 8 bits of every weight and activation, and int8 7, through two layers and a head: the
/// errors of some hundred products add up as a random walk to a few of those steps, at most 2.5e-2 and 7e-2 over all
/// models, kernels and chunkings. fp16 keeps 11 bits of weights and cache and all of the activations: an eighth of
/// bf16's steps at most. A wrong kernel is off by the size of a logit.
double tolerance_of(const std::string& precision) {
  if (precision == "f32") return 1e-5;
  if (precision == "fp16") return 4e-2 / 8;
  return precision == "bf16" ? 4e-2 : 1e-1;
}

struct Golden {
  Tensor input_ids, logits, greedy;
  int32_t batch, length, vocabulary, generated;
  std::vector<int32_t> prompt(int32_t sequence) const {
    const auto all = input_ids.as<int32_t>();
    return {all.begin() + sequence * length, all.begin() + (sequence + 1) * length};
  }
  std::span<const float> row(int32_t sequence, int32_t token) const {
    return logits.as<float>().subspan(static_cast<size_t>((sequence * length + token) * vocabulary),
                                      static_cast<size_t>(vocabulary));
  }
  std::vector<int32_t> continuation(int32_t sequence) const {
    const auto all = greedy.as<int32_t>();
    return {all.begin() + sequence * generated, all.begin() + (sequence + 1) * generated};
  }
};

Golden read_golden(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  Golden golden{file.load("input_ids"), file.load("logits"), file.load("greedy"), 0, 0, 0, 0};
  golden.batch = static_cast<int32_t>(golden.logits.shape().at(0));
  golden.length = static_cast<int32_t>(golden.logits.shape().at(1));
  golden.vocabulary = static_cast<int32_t>(golden.logits.shape().at(2));
  golden.generated = static_cast<int32_t>(golden.greedy.shape().at(1));
  return golden;
}

double largest(std::span<const float> values) {
  double result = 0;
  for (float value : values) result = std::max(result, std::fabs(static_cast<double>(value)));
  return result;
}

void expect_near(std::span<const float> found, std::span<const float> expected, double allowed,
                 const std::string& what) {
  ASSERT_EQ(found.size(), expected.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    worst = std::max(worst, std::isnan(error) ? HUGE_VAL : error);
  }
  EXPECT_LE(worst, allowed) << what;
}

std::vector<int32_t> slice(const std::vector<int32_t>& tokens, size_t first, size_t count) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(first),
          tokens.begin() + static_cast<std::ptrdiff_t>(std::min(first + count, tokens.size()))};
}

/// Engines are made once for a (model, target) and kept for the whole program.
std::shared_ptr<const Engine> engine_for(const std::string& model, const std::string& target,
                                         const std::string& precision) {
  static const TemporaryDirectory directory;
  static std::map<std::string, std::shared_ptr<const Engine>> made;
  const std::string name = model + "-" + target + "-" + precision;
  auto& engine = made[name];
  if (!engine) {
    CompileOptions options;
    options.precision = precision;
    options.target = target;
    options.tune = false;
    options.max_batch = 4;
    engine = compile_for_test(fixtures() / "reference" / model, directory / name, options);
  }
  return engine;
}

using Case = std::tuple<std::string, std::string, std::string>;  // model, target, device (or, below, precision)

class References : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto& [model, target, device] = GetParam();
    set_up(model, target, device, "f32");
  }

  void set_up(const std::string& model, const std::string& target, const std::string& device,
              const std::string& precision) {
    if (!cpu_features().includes(target_features(target))) {
      GTEST_SKIP() << "References on " << target << " skipped: this machine has only " << to_string(cpu_features());
    }
    golden_ = read_golden(fixtures() / "reference" / model / "golden.safetensors");
    driver_ = std::make_unique<Driver>(engine_for(model, target, precision), make_test_device(device));
    allowed_ = tolerance_of(precision) * largest(golden_.logits.as<float>());
  }

  void expect_logits_in_chunks(size_t chunk) {
    for (int32_t sequence = 0; sequence < golden_.batch; ++sequence) {
      driver_->start(sequence);
      const std::vector<int32_t> prompt = golden_.prompt(sequence);
      for (size_t first = 0; first < prompt.size(); first += chunk) {
        const std::vector<int32_t> tokens = slice(prompt, first, chunk);
        const std::vector<float> logits = driver_->logits({{sequence, tokens, {}}});
        for (size_t i = 0; i < tokens.size(); ++i) expect_row(logits, i, sequence, first + i);
      }
    }
  }

  void expect_row(std::span<const float> logits, size_t row, int32_t sequence, size_t token) {
    const auto vocabulary = static_cast<size_t>(golden_.vocabulary);
    expect_near(logits.subspan(row * vocabulary, vocabulary), golden_.row(sequence, static_cast<int32_t>(token)),
                allowed_, "sequence " + std::to_string(sequence) + ", token " + std::to_string(token));
  }

  Golden golden_;
  std::unique_ptr<Driver> driver_;
  double allowed_ = 0;
};

TEST_P(References, LogitsOfTheWholePrompt) { expect_logits_in_chunks(64); }
TEST_P(References, LogitsInOddChunks) { expect_logits_in_chunks(7); }
TEST_P(References, LogitsTokenByToken) { expect_logits_in_chunks(1); }

TEST_P(References, LogitsInAMixedBatch) {
  // The two prompts advance at different speeds, with a third sequence decoding beside them.
  driver_->start(0);
  driver_->start(1);
  driver_->start(2);
  const std::vector<int32_t> first = golden_.prompt(0);
  const std::vector<int32_t> second = golden_.prompt(1);
  driver_->step({{2, slice(first, 0, 5), {4}}});
  for (size_t a = 0, b = 0; a < first.size() || b < second.size();) {
    std::vector<Feed> feeds{{2, {}, {}}};
    std::vector<std::pair<int32_t, size_t>> rows{{2, 0}};
    const auto add = [&](int32_t slot, const std::vector<int32_t>& prompt, size_t& done, size_t chunk) {
      if (done >= prompt.size()) return;
      feeds.push_back({slot, slice(prompt, done, chunk), {}});
      for (size_t i = 0; i < feeds.back().tokens.size(); ++i) rows.emplace_back(slot, done + i);
      done += feeds.back().tokens.size();
    };
    add(0, first, a, 11);
    add(1, second, b, 3);
    const std::vector<float> logits = driver_->logits(feeds);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].first < 2) expect_row(logits, i, rows[i].first, rows[i].second);
    }
  }
}

TEST_P(References, GreedyTokensAloneFromTheLastSample) {
  for (int32_t sequence = 0; sequence < golden_.batch; ++sequence) {
    driver_->start(sequence);
    const std::vector<int32_t> prompt = golden_.prompt(sequence);
    std::vector<int32_t> tokens{
        driver_->step({{sequence, prompt, {static_cast<int32_t>(prompt.size()) - 1}}}).at(0).id};
    while (static_cast<int32_t>(tokens.size()) < golden_.generated) {
      tokens.push_back(driver_->step({{sequence, {}, {0}}}).at(0).id);
    }
    EXPECT_EQ(tokens, golden_.continuation(sequence));
  }
}

TEST_P(References, GreedyTokensTogetherWithTwoTicketsInFlight) {
  std::vector<Feed> prompts, decode;
  for (int32_t sequence = 0; sequence < golden_.batch; ++sequence) {
    driver_->start(sequence);
    prompts.push_back({sequence, golden_.prompt(sequence), {golden_.length - 1}});
    decode.push_back({sequence, {}, {0}});
  }
  std::vector<std::vector<int32_t>> tokens(static_cast<size_t>(golden_.batch));
  Ticket earlier = driver_->submit(prompts, false);
  for (int32_t step = 0; step < golden_.generated; ++step) {
    const bool more = step + 1 < golden_.generated;
    const Ticket later = more ? driver_->submit(decode, false) : Ticket{};
    const auto rows = driver_->executor().collect(earlier);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i].push_back(rows[i].id);
    earlier = later;
  }
  for (int32_t sequence = 0; sequence < golden_.batch; ++sequence) {
    EXPECT_EQ(tokens[static_cast<size_t>(sequence)], golden_.continuation(sequence));
  }
}

TEST_P(References, TokensTakenBackLeaveNoTrace) {
  driver_->start(0);
  const std::vector<int32_t> prompt = golden_.prompt(0);
  driver_->step({{0, slice(prompt, 0, 9), {}}});
  driver_->step({{0, golden_.prompt(1), {golden_.length - 1}}});
  driver_->truncate(0, 9);
  const std::vector<int32_t> rest = slice(prompt, 9, prompt.size());
  const std::vector<float> logits = driver_->logits({{0, rest, {}}});
  for (size_t i = 0; i < rest.size(); ++i) expect_row(logits, i, 0, 9 + i);
}

/// The rounded precisions, through every kernel family: the last parameter is the precision.
class RoundedReferences : public References {
 protected:
  void SetUp() override {
    const auto& [model, target, precision] = GetParam();
    set_up(model, target, "cpu", precision);
  }
};

TEST_P(RoundedReferences, LogitsOfTheWholePrompt) { expect_logits_in_chunks(64); }
TEST_P(RoundedReferences, LogitsInOddChunks) { expect_logits_in_chunks(7); }
TEST_P(RoundedReferences, LogitsTokenByToken) { expect_logits_in_chunks(1); }

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_" + std::get<2>(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, References,
                         testing::Combine(testing::Values("llama-mha", "llama-gqa-tied", "llama3-rope", "qwen2"),
                                          testing::Values("cpu-generic", "cpu-avx2", "cpu-avx512", "cpu-amx"),
                                          testing::Values("cpu", "shadow")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(All, RoundedReferences,
                         testing::Combine(testing::Values("llama-mha", "llama-gqa-tied", "llama3-rope", "qwen2"),
                                          testing::Values("cpu-generic", "cpu-avx2", "cpu-avx512", "cpu-amx"),
                                          testing::Values("bf16", "fp16", "int8")),
                         case_name);

}  // namespace
}  // namespace incipit
