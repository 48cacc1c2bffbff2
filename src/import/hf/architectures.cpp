#include "import/hf/architectures.h"

#include <fmt/format.h>

#include <array>

namespace incipit {
namespace {

constexpr std::array architectures{
    &llama_architecture,
    &qwen2_architecture,
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
