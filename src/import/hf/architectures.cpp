#include "import/hf/architectures.h"

#include <fmt/format.h>

#include <array>

namespace incipit {
namespace {

constexpr std::array architectures{
    &llama_architecture,  &mistral_architecture, &qwen2_architecture,     &qwen3_architecture,    &phi3_architecture,
    &olmo2_architecture,  &granite_architecture, &gpt2_architecture,      &gpt_neox_architecture, &gemma2_architecture,
    &gemma3_architecture, &mixtral_architecture, &qwen3_moe_architecture,
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
  config.fail(fmt::format("unknown architecture {}", name), "this build reads " + known);
}

}  // namespace incipit
