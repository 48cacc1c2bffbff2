#include "import/hf/architectures.h"

#include <fmt/format.h>

#include "import/hf/wrappers.h"

namespace incipit {
namespace {

#define INCIPIT_ARCHITECTURE(name) &name##_architecture,
constexpr const HfArchitecture* architectures[] = {
#include "import/hf/architectures.inc"
};
#undef INCIPIT_ARCHITECTURE

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
