// The models of ../shared/reference.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/shared_files.h"

namespace incipit {

inline const std::vector<std::string> reference_models{
    "llama-mha", "llama-gqa-tied", "llama-bias-hd", "llama-linear",  "llama-yarn", "llama3-rope", "mistral-window",
    "qwen2",     "qwen3",          "phi3",          "phi3-longrope", "olmo2",      "granite",     "gpt2",
    "gpt-neox",  "gemma2",         "gemma3",        "mixtral",       "qwen3-moe"};

inline const std::vector<std::string> all_targets{"cpu-generic", "cpu-avx2", "cpu-avx512", "cpu-amx"};

/// Most are in every checkout; the path of one that is not may not exist.
inline std::filesystem::path reference_checkpoint(const std::string& model) {
  const std::filesystem::path mine = fixtures() / "reference" / model;
  return std::filesystem::exists(mine) ? mine : shared_file("reference/" + model);
}

}  // namespace incipit
