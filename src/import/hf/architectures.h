// The Hugging Face architectures that this build reads. Adding one: its file beside this, and a line in
// architectures.cpp.
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

/// By the config's `architectures`. Throws Error naming those there are.
const HfArchitecture& find_architecture(const HfConfig& config);

extern const HfArchitecture apertus_architecture;
extern const HfArchitecture arcee_architecture;
extern const HfArchitecture bloom_architecture;
extern const HfArchitecture cohere_architecture;
extern const HfArchitecture cohere2_architecture;
extern const HfArchitecture dots1_architecture;
extern const HfArchitecture ernie4_5_architecture;
extern const HfArchitecture ernie4_5_moe_architecture;
extern const HfArchitecture exaone4_architecture;
extern const HfArchitecture falcon_architecture;
extern const HfArchitecture gemma_architecture;
extern const HfArchitecture gemma2_architecture;
extern const HfArchitecture gemma3_architecture;
extern const HfArchitecture glm_architecture;
extern const HfArchitecture glm4_architecture;
extern const HfArchitecture glm4_moe_architecture;
extern const HfArchitecture gpt2_architecture;
extern const HfArchitecture gpt_neox_architecture;
extern const HfArchitecture gpt_oss_architecture;
extern const HfArchitecture gptj_architecture;
extern const HfArchitecture granite_architecture;
extern const HfArchitecture granite_moe_architecture;
extern const HfArchitecture helium_architecture;
extern const HfArchitecture hunyuan_architecture;
extern const HfArchitecture hunyuan_moe_architecture;
extern const HfArchitecture llama_architecture;
extern const HfArchitecture minimax_m2_architecture;
extern const HfArchitecture ministral_architecture;
extern const HfArchitecture ministral3_architecture;
extern const HfArchitecture mistral_architecture;
extern const HfArchitecture mixtral_architecture;
extern const HfArchitecture nemotron_architecture;
extern const HfArchitecture olmo2_architecture;
extern const HfArchitecture olmo3_architecture;
extern const HfArchitecture olmoe_architecture;
extern const HfArchitecture opt_architecture;
extern const HfArchitecture phi_architecture;
extern const HfArchitecture phi3_architecture;
extern const HfArchitecture phimoe_architecture;
extern const HfArchitecture qwen2_architecture;
extern const HfArchitecture qwen2_moe_architecture;
extern const HfArchitecture qwen3_architecture;
extern const HfArchitecture qwen3_moe_architecture;
extern const HfArchitecture seed_oss_architecture;
extern const HfArchitecture smollm3_architecture;
extern const HfArchitecture stablelm_architecture;
extern const HfArchitecture starcoder2_architecture;

}  // namespace incipit
