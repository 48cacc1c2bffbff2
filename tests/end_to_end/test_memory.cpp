// --memory is one promise of two programs: what a build accepts, a run must be able to open.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/safetensors.h"
#include "graph/constant.h"
#include "support/driver.h"
#include "support/sanitized.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

class Memory : public testing::TestWithParam<std::string> {};

TEST_P(Memory, TheLeastThatABuildAcceptsHoldsASequenceAtRunTime) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = fixtures() / "reference" / "qwen2";
  CompileOptions options;
  options.precision = GetParam();
  options.tune = false;
  options.memory = 1;
  try {
    compile_for_test(model, directory / "small.engine", options);
    FAIL() << "one byte was accepted";
  } catch (const Error& error) {
    constexpr std::string_view before = "give at least ";
    const std::string& remedy = error.remedy();
    ASSERT_EQ(remedy.rfind(before, 0), 0U) << error.what();
    options.memory = std::stoll(remedy.substr(before.size()));
  }
  Driver driver(compile_for_test(model, directory / "least.engine", options));
  const int32_t context = driver.executor().limits().max_context;
  for (const ExecutorLimits::Group& group : driver.executor().limits().groups) {
    EXPECT_GE(group.pages * group.page_tokens, context);
  }
  driver.start(0);
  EXPECT_EQ(driver.step({{0, {1, 2, 3}, {2}}}).size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(All, Memory, testing::Values("f32", "bf16", "fp16", "int8"));

/// Bytes in residence at most since reset_peak().
int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes << 10;
  }
  return 0;
}
/// False where the system does not let us.
bool reset_peak() { return static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }

/// A Llama of 132 MB in two shards.
void write_large_checkpoint(const std::filesystem::path& directory) {
  constexpr int64_t hidden = 512, layers = 4, feed_forward = 8192, vocabulary = 16384;
  std::filesystem::create_directory(directory);
  std::map<std::string, Tensor> shards[2];
  boost::json::object places;
  const auto add = [&](int shard, const std::string& name, Shape shape) {
    shards[shard].emplace(name, make_random_constant(DType::bf16, std::move(shape), 1, 0.02F)->materialise());
    places[name] = std::to_string(shard) + ".safetensors";
  };
  add(0, "model.embed_tokens.weight", {vocabulary, hidden});
  add(0, "model.norm.weight", {hidden});
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) add(1, layer + norm + ".weight", {hidden});
    for (const char* part : {"q", "k", "v", "o"}) {
      add(1, layer + "self_attn." + part + "_proj.weight", {hidden, hidden});
    }
    for (const char* part : {"gate", "up"}) add(1, layer + "mlp." + part + "_proj.weight", {feed_forward, hidden});
    add(1, layer + "mlp.down_proj.weight", {hidden, feed_forward});
  }
  for (int shard : {0, 1}) write_safetensors(directory / (std::to_string(shard) + ".safetensors"), shards[shard]);
  std::ofstream(directory / "model.safetensors.index.json")
      << boost::json::serialize(boost::json::object{{"weight_map", places}});
  std::ofstream(directory / "config.json")
      << boost::json::serialize(boost::json::object{{"architectures", {"LlamaForCausalLM"}},
                                                    {"model_type", "llama"},
                                                    {"vocab_size", vocabulary},
                                                    {"hidden_size", hidden},
                                                    {"intermediate_size", feed_forward},
                                                    {"num_hidden_layers", layers},
                                                    {"num_attention_heads", 8},
                                                    {"num_key_value_heads", 8},
                                                    {"max_position_embeddings", 2048},
                                                    {"rms_norm_eps", 1e-5},
                                                    {"rope_theta", 10000.0},
                                                    {"hidden_act", "silu"},
                                                    {"tie_word_embeddings", true}});
}

TEST(BuildResidence, IsAFewSlabsHoweverLargeTheCheckpoint) {
  if (sanitized) GTEST_SKIP() << "Build residence skipped: sanitizers keep memory of their own";
  const TemporaryDirectory directory;
  write_large_checkpoint(directory / "model");
  for (const std::string precision : {"f32", "bf16", "fp16", "int8"}) {
    if (!reset_peak()) GTEST_SKIP() << "Build residence skipped: /proc/self/clear_refs cannot be written here";
    const int64_t before = peak_resident_bytes();
    CompileOptions options;
    options.precision = precision;
    options.tune = false;
    const auto engine = compile_for_test(directory / "model", directory / "out.engine", options);
    // A slab of 16 MiB, each worker's panels, pages of the digests' pieces of 16 MiB, and the plan.
    EXPECT_LE(peak_resident_bytes() - before, int64_t{64} << 20) << precision;
  }
}

}  // namespace
}  // namespace incipit
