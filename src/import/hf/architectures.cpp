#include "import/hf/architectures.h"

#include <fmt/format.h>

#include <array>

#include "import/hf/wrappers.h"

namespace incipit {
namespace {

constexpr std::array architectures{
    &apertus_architecture,     &arcee_architecture,       &bloom_architecture,      &cohere_architecture,
    &cohere2_architecture,     &dots1_architecture,       &ernie4_5_architecture,   &ernie4_5_moe_architecture,
    &exaone4_architecture,     &falcon_architecture,      &gemma_architecture,      &gemma2_architecture,
    &gemma3_architecture,      &glm_architecture,         &glm4_architecture,       &glm4_moe_architecture,
    &gpt2_architecture,        &gpt_neox_architecture,    &gpt_oss_architecture,    &gptj_architecture,
    &granite_architecture,     &granite_moe_architecture, &helium_architecture,     &hunyuan_architecture,
    &hunyuan_moe_architecture, &llama_architecture,       &minimax_m2_architecture, &ministral_architecture,
    &ministral3_architecture,  &mistral_architecture,     &mixtral_architecture,    &nemotron_architecture,
    &olmo2_architecture,       &olmo3_architecture,       &olmoe_architecture,      &opt_architecture,
    &phi_architecture,         &phi3_architecture,        &phimoe_architecture,     &qwen2_architecture,
    &qwen2_moe_architecture,   &qwen3_architecture,       &qwen3_moe_architecture,  &seed_oss_architecture,
    &smollm3_architecture,     &stablelm_architecture,    &starcoder2_architecture,
};

}  // namespace

const HfArchitecture& find_architecture(const HfConfig& config) {
  const std::string name = config.architecture();
  std::string known;
  for (const HfArchitecture* architecture : architectures) {
    if (architecture->name == name) return *architecture;
    if (!known.empty()) known += ", ";
    known += architecture->name;
  }
  for (const std::string_view wrapper : wrapper_names()) known += ", " + std::string(wrapper);
  config.fail(fmt::format("unknown architecture {}", name), "this build reads " + known);
}

}  // namespace incipit
