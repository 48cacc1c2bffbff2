// The Hugging Face architectures that this build reads. Adding one: its file beside this, and a line in
// architectures.inc.
#pragma once

#include <string>
#include <string_view>

#include "graph/model.h"
#include "import/hf/config.h"
#include "import/hf/tensor_source.h"
#include "import/import.h"

namespace incipit {

struct HfArchitecture {
  std::string_view name;  // as config.json's `architectures` has it
  /// Fills in the graph and sizes. Throws Error for a config or tensors that it cannot honour.
  void (*build)(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model);
};

/// By the config's `architectures`. Throws Error for one that is not read: what it needs, or which names are near.
const HfArchitecture& find_architecture(const HfConfig& config);

#define INCIPIT_ARCHITECTURE(name) extern const HfArchitecture name##_architecture;
#include "import/hf/architectures.inc"
#undef INCIPIT_ARCHITECTURE

}  // namespace incipit
