// What Transformers computed, against every way this program can compute it: each kernel family of this machine, whole
// prompts, odd chunks, token by token, alone and in a mixed batch, on the processor and on the shadow device.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/safetensors.h"
#include "engine/plan_generated.h"
#include "support/driver.h"
#include "support/genai_model.h"
#include "support/gpu_targets.h"
#include "support/margin.h"
#include "support/reference_models.h"
#include "support/sanitized.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

/// What logits may be off by, in units of the largest one. A wrong kernel is off by the size of a logit.
struct Tolerance {
  double smooth;           // of a row whose experts, if any, are those of the exact model
  double turned_over = 0;  // share of the rows that may have others
};

/// The project promises 1e-4 in f32, and is ten times closer.
///
/// Otherwise a layer rounds some number of operands, each with a relative deviation of its own: in bf16, 16 (the rows
/// and the weights of four products, queries, keys, softmax weights and values, and what norms and activations hand on)
/// by 2^-8 / √3; in fp16, 9 (weights, keys and values: activations are f32) by 2^-11 / √3; in int8 the 8 of the
/// products by 6.8e-3 (a row's largest value is some three deviations and has 127 steps, rounded by 1/√12 of one). The
/// head adds two. The errors are independent and add up as the root of their number; the largest error among 20,000
/// logits is four of its deviations, as the largest logit is of its own, so that this sum is what is expected of the
/// worst logit. The bound is three times it. (Measured: at most 2.5e-2, 2.3e-3 and 7.2e-2 with two layers.)
///
/// A rope that multiplies queries and keys by √2.25, as longrope's factor of 32 does, makes scores, and what their
/// rounding does to the softmax, 2.25 times as large.
///
/// In ministral3 one token of 80 hangs between two keys. Noise of the size above in the products of a reference in
/// double precision moves its logits 2.9 times as far as the others' (the mean of ten draws).
///
/// The choice of experts jumps where two of them are all but equal. The logits of experts about the choice lie some 0.4
/// deviations apart (four to eight normal ones), so that in each layer the rounding, if it is within the smooth bound,
/// turns the choice over for less than that bound / 0.4 of the tokens. The later tokens of a sequence see what one of
/// them became, so that more rows move than choices turn over (of 80 in fp16, 5 in glm4-moe and gpt-oss, 39 in olmoe):
/// what is bounded is that half of the rows stay, whatever the precision.
///
/// Of int8 keys and values alone ("f32-kv8") these are the two operands of a layer, and the head adds none.
Tolerance tolerance_of(const std::string& model, const std::string& precision, int64_t layers, bool experts) {
  if (precision == "f32") return {1e-5};
  const bool kv_alone = precision == "f32-kv8";
  const int64_t operands = precision == "bf16" ? 16 : precision == "fp16" ? 9 : kv_alone ? 2 : 8;
  const double rounding =
      precision == "int8" || kv_alone ? 6.8e-3 : std::ldexp(1 / std::sqrt(3.0), precision == "bf16" ? -8 : -11);
  const double smooth = 3 * rounding * std::sqrt(static_cast<double>(operands * layers + (kv_alone ? 0 : 2)));
  Tolerance tolerance{smooth * (model == "phi3-longrope" ? 2.25 : model == "ministral3" ? 2.9 : 1)};
  if (experts) tolerance.turned_over = std::max(0.5, static_cast<double>(layers) * smooth / 0.4);
  return tolerance;
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

/// The largest difference; infinite where a value is not a number.
double distance(std::span<const float> found, std::span<const float> expected) {
  INCIPIT_ASSERT(found.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    worst = std::max(worst, std::isnan(error) ? HUGE_VAL : error);
  }
  return worst;
}

std::vector<int32_t> slice(const std::vector<int32_t>& tokens, size_t first, size_t count) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(first),
          tokens.begin() + static_cast<std::ptrdiff_t>(std::min(first + count, tokens.size()))};
}

/// The last part of a model "llama-mha/genai.packed": its checkpoint as ONNX Runtime GenAI would export it.
const std::vector<GenaiForm> genai_forms{
    {.name = "genai.grouped"},
    {.name = "genai.packed", .packed = true, .given_lengths = true, .sampled = true},
    {.name = "genai.half_tables", .half_tables = true},
    {.name = "genai.rotary_nodes", .rotary_nodes = true, .skipping_norms = false},
    {.name = "genai.multi_head", .attention = GenaiForm::Attention::multi_head},
    {.name = "genai.opset23", .attention = GenaiForm::Attention::opset23},
};
std::vector<std::string> genai_models() {
  std::vector<std::string> models;
  for (const GenaiForm& form : genai_forms) models.push_back("llama-mha/" + form.name);
  for (const char* form : {"grouped", "packed", "opset23"})
    models.push_back(std::string("llama-gqa-tied/genai.") + form);
  return models;
}

/// Engines are made once for a (model, target) and kept for the whole program.
std::shared_ptr<const Engine> engine_for(const std::string& model, const std::string& target,
                                         const std::string& precision) {
  static const TemporaryDirectory directory;
  static std::map<std::string, std::shared_ptr<const Engine>> made;
  std::string name = model + "-" + target + "-" + precision;
  std::ranges::replace(name, '/', '-');
  auto& engine = made[name];
  if (!engine) {
    CompileOptions options;
    set_precision(options, precision);
    options.target = target;
    options.tune = false;
    options.max_batch = 4;
    if (named_target(target).backend == Backend::cuda) options.tuning_cache = directory / "tuning";  // keeps kernels
    const auto form = std::ranges::find(genai_forms, model.substr(model.find('/') + 1), &GenaiForm::name);
    if (form == genai_forms.end()) {
      engine = compile_for_test(reference_checkpoint(model), directory / name, options);
    } else {
      const std::filesystem::path checkpoint = reference_checkpoint(model.substr(0, model.find('/')));
      std::ofstream(directory / (name + ".onnx"), std::ios::binary) << GenaiModel::of(checkpoint, *form);
      engine = compile_for_test(directory / (name + ".onnx"), directory / name, options, checkpoint);
    }
  }
  return engine;
}

using Case = std::tuple<std::string, std::string, std::string>;  // model, target, precision

class References : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto& [model, target, precision] = GetParam();
    const bool is_made = model.find("/genai.") != std::string::npos;
    if (!is_made && !std::filesystem::exists(reference_checkpoint(model)))
      INCIPIT_SKIP_WITHOUT_SHARED(std::ranges::count(newer_reference_models, model) > 0 ? "reference-2026/" + model
                                                                                        : "reference/" + model);
    golden_ = read_golden(reference_golden(model));
    driver_ = std::make_unique<Driver>(engine_for(model, target, precision));
    const plan::Plan& plan = driver_->executor().engine().plan();
    const auto has_experts = [](const plan::Step* step) {
      return step->problem()->string_view().starts_with("router");
    };
    tolerance_ = tolerance_of(model, precision, plan.layers(), std::ranges::any_of(*plan.steps(), has_experts));
    unit_ = largest(golden_.logits.as<float>());
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

  void expect_logits_in_a_mixed_batch() {
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

  /// From the last sample.
  void expect_greedy_tokens_alone() {
    for (int32_t sequence = 0; sequence < golden_.batch; ++sequence) {
      driver_->start(sequence);
      const std::vector<int32_t> prompt = golden_.prompt(sequence);
      std::vector<int32_t> tokens{
          driver_->step({{sequence, prompt, {static_cast<int32_t>(prompt.size()) - 1}}}).at(0).id};
      while (static_cast<int32_t>(tokens.size()) < golden_.generated) {
        tokens.push_back(driver_->step({{sequence, {}, {0}}}).at(0).id);
      }
      expect_continuation(sequence, tokens);
    }
  }

  /// With two tickets in flight.
  void expect_greedy_tokens_together() {
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
      expect_continuation(sequence, tokens[static_cast<size_t>(sequence)]);
    }
  }

  /// The golden tokens, up to a choice between two that is less clear than both sides' errors.
  void expect_continuation(int32_t sequence, const std::vector<int32_t>& tokens) {
    const std::vector<int32_t> expected = golden_.continuation(sequence);
    const auto [found, want] = std::ranges::mismatch(tokens, expected);
    if (found == tokens.end() && want == expected.end()) return;
    std::vector<int32_t> read = golden_.prompt(sequence);
    read.insert(read.end(), expected.begin(), want);
    driver_->start(sequence);
    const std::vector<float> logits = driver_->logits({{sequence, read, {}}});
    const auto last = std::span(logits).last(static_cast<size_t>(golden_.vocabulary));
    if (margin_of(last) < 4 * tolerance_.smooth * unit_) return;
    EXPECT_EQ(tokens, expected) << "sequence " << sequence;
  }

  void expect_no_trace_of_tokens_taken_back() {
    driver_->start(0);
    const std::vector<int32_t> prompt = golden_.prompt(0);
    driver_->step({{0, slice(prompt, 0, 9), {}}});
    driver_->step({{0, golden_.prompt(1), {golden_.length - 1}}});
    driver_->truncate(0, 9);
    const std::vector<int32_t> rest = slice(prompt, 9, prompt.size());
    const std::vector<float> logits = driver_->logits({{0, rest, {}}});
    for (size_t i = 0; i < rest.size(); ++i) expect_row(logits, i, 0, 9 + i);
  }

  void expect_row(std::span<const float> logits, size_t row, int32_t sequence, size_t token) {
    const auto vocabulary = static_cast<size_t>(golden_.vocabulary);
    const double error =
        distance(logits.subspan(row * vocabulary, vocabulary), golden_.row(sequence, static_cast<int32_t>(token))) /
        unit_;
    ++rows_;
    if (error > tolerance_.smooth && tolerance_.turned_over > 0) {
      ++rows_turned_over_;
      EXPECT_LE(error, 1) << "sequence " << sequence << ", token " << token;
      return;
    }
    EXPECT_LE(error, tolerance_.smooth) << "sequence " << sequence << ", token " << token;
  }

  void expect_few_turned_over() const {
    EXPECT_LE(rows_turned_over_, tolerance_.turned_over * rows_) << "of " << rows_ << " rows";
  }

  Golden golden_;
  std::unique_ptr<Driver> driver_;
  Tolerance tolerance_;
  double unit_ = 0;  // the largest logit
  int32_t rows_ = 0, rows_turned_over_ = 0;
};

// One test: two might be in two shards, each of which would make the engine.
TEST_P(References, LogitsHoweverTokensComeAndGreedyTokens) {
  for (const size_t chunk : {64, 7, 1}) {
    SCOPED_TRACE(chunk);
    expect_logits_in_chunks(chunk);
  }
  expect_logits_in_a_mixed_batch();
  expect_no_trace_of_tokens_taken_back();
  expect_greedy_tokens_alone();
  expect_greedy_tokens_together();
}

/// The rounded precisions, through every kernel family.
class RoundedReferences : public References {};

TEST_P(RoundedReferences, LogitsHoweverTokensCome) {
  for (const size_t chunk : {64, 7, 1}) {
    SCOPED_TRACE(chunk);
    expect_logits_in_chunks(chunk);
  }
  expect_few_turned_over();
}

TEST(ReferencesOf, TargetsNotHere) {
  for (const std::string& target : all_targets) {
    if (runs_here(named_target(target))) continue;
    GTEST_SKIP() << "References on " << target << " skipped: this machine has only " << to_string(cpu_features());
  }
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_" + std::get<2>(info.param);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '/' || c == '.'; }, '_');
  return name;
}

/// Every model on every target in every precision. Under sanitizers each third model from the `turn`th on, with the
/// target and the precision that come next: on the processor each model has one turn, and each precision several.
std::vector<Case> cases(const std::vector<std::string>& models, const std::vector<std::string>& targets,
                        const std::vector<std::string>& precisions, [[maybe_unused]] size_t turn) {
  std::vector<Case> all;
  if (sanitized) {
    for (size_t i = turn, next = 0; i < models.size(); i += 3, ++next) {
      all.emplace_back(models[i], targets[next % targets.size()], precisions[next % precisions.size()]);
    }
    return all;
  }
  for (const std::string& model : models) {
    for (const std::string& target : targets) {
      for (const std::string& precision : precisions) all.emplace_back(model, target, precision);
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, References,
                         testing::ValuesIn(cases(all_reference_models(), tested_targets(), {"f32"}, 0)), case_name);

// The structure of an export's graph is its checkpoint's (tests/passes/doors_test.cpp): one kernel family is enough.
INSTANTIATE_TEST_SUITE_P(Onnx, References,
                         testing::Combine(testing::ValuesIn(sanitized ? own_exports : reference_exports()),
                                          testing::Values(targets_here().back()), testing::Values("f32")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(Genai, References,
                         testing::ValuesIn(cases(genai_models(), {targets_here().back()}, {"f32"}, 0)), case_name);

INSTANTIATE_TEST_SUITE_P(All, RoundedReferences,
                         testing::ValuesIn(cases(all_reference_models(), tested_targets(), {"bf16", "fp16"}, 1)),
                         case_name);

INSTANTIATE_TEST_SUITE_P(Int8, RoundedReferences,
                         testing::ValuesIn(cases(all_reference_models(), int8_targets_here(), {"int8"}, 2)), case_name);

/// Keys and values in int8, beside products in f32.
class CodedCaches : public References {};

TEST_P(CodedCaches, LogitsHoweverTokensCome) {
  for (const size_t chunk : {64, 7, 1}) {
    SCOPED_TRACE(chunk);
    expect_logits_in_chunks(chunk);
  }
  expect_logits_in_a_mixed_batch();
  expect_no_trace_of_tokens_taken_back();
}

// Windows; keys with norms; no rotation, and slopes in its place.
INSTANTIATE_TEST_SUITE_P(All, CodedCaches,
                         testing::ValuesIn(cases(tested_models({"mistral-window", "gemma3", "gpt2", "bloom", "qwen3",
                                                                "ministral3-tiny", "cohere-tiny", "glm4-tiny"}),
                                                 tested_targets(), {"f32-kv8"}, 0)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Shadow, CodedCaches,
                         testing::ValuesIn(cases({"mistral-window", "qwen3"}, {"shadow"}, {"f32-kv8"}, 0)), case_name);

TEST(ReferencesOf, GpusNotHere) {
  if (gpu_targets_here().empty()) GTEST_SKIP() << "no GPU";
}

INSTANTIATE_TEST_SUITE_P(Gpu, References,
                         testing::Combine(testing::ValuesIn(all_reference_models()),
                                          testing::ValuesIn(gpu_targets_here()), testing::Values("f32")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(GpuOnnx, References,
                         testing::Combine(testing::ValuesIn(reference_exports()), testing::ValuesIn(gpu_targets_here()),
                                          testing::Values("f32")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(Gpu, RoundedReferences,
                         testing::Combine(testing::ValuesIn(all_reference_models()),
                                          testing::ValuesIn(gpu_targets_here()),
                                          testing::Values("bf16", "fp16", "int8")),
                         case_name);

// An accelerator's layouts, queue and programs, with scalar kernels.
INSTANTIATE_TEST_SUITE_P(Shadow, References, testing::ValuesIn(cases(all_reference_models(), {"shadow"}, {"f32"}, 1)),
                         case_name);

INSTANTIATE_TEST_SUITE_P(ShadowOnnx, References,
                         testing::Combine(testing::ValuesIn(sanitized ? own_exports : reference_exports()),
                                          testing::Values("shadow"), testing::Values("f32")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(Shadow, RoundedReferences,
                         testing::ValuesIn(cases(tested_models(reference_models), {"shadow"}, {"bf16", "fp16", "int8"},
                                                 2)),
                         case_name);

}  // namespace
}  // namespace incipit
