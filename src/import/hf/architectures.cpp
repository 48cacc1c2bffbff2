#include "import/hf/architectures.h"

#include <fmt/format.h>

#include <vector>

#include "import/hf/unread.h"
#include "import/hf/wrappers.h"

namespace incipit {
namespace {

#define INCIPIT_ARCHITECTURE(name) &name##_architecture,
constexpr const HfArchitecture* architectures[] = {
#include "import/hf/architectures.inc"
};
#undef INCIPIT_ARCHITECTURE

[[noreturn]] void refuse_architecture(const HfConfig& config, const std::string& name) {
  constexpr std::string_view remedy = "docs/architectures.md lists what this build reads";
  constexpr size_t longest = 64;  // the file may hold anything
  if (name.size() > longest) {
    config.fail(fmt::format("the name in architectures has {} characters", name.size()), remedy);
  }
  if (const std::string_view lacking = what_is_lacking(name); !lacking.empty()) {
    config.fail(fmt::format("{} needs {}, which this build does not compute yet", name, lacking), remedy);
  }
  if (is_headless(name)) {
    config.fail(fmt::format("{} gives no logits of a next token", name), "export it to ONNX, and give that file");
  }
  std::vector<std::string_view> known(wrapper_names().begin(), wrapper_names().end());
  for (const HfArchitecture* architecture : architectures) known.push_back(architecture->name);
  const std::vector<std::string_view> near = nearest_names(name, known);
  const std::string nearest =
      near.empty() ? "" : fmt::format("; near it {} {}", near.size() == 1 ? "is" : "are", fmt::join(near, ", "));
  config.fail(fmt::format("unknown architecture {}{}", name, nearest), remedy);
}

}  // namespace

const HfArchitecture& find_architecture(const HfConfig& config) {
  const std::string name = config.architecture();
  for (const HfArchitecture* architecture : architectures) {
    if (architecture->name == name) return *architecture;
  }
  refuse_architecture(config, name);
}

}  // namespace incipit
