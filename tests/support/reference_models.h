// The models of ../shared/reference and ../shared/reference-2026.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/target.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {

inline const std::vector<std::string> reference_models{
    "llama-mha", "llama-gqa-tied", "llama-bias-hd", "llama-linear",  "llama-yarn", "llama3-rope", "mistral-window",
    "qwen2",     "qwen3",          "phi3",          "phi3-longrope", "olmo2",      "granite",     "gpt2",
    "gpt-neox",  "gemma2",         "gemma3",        "mixtral",       "qwen3-moe"};

/// Those of reference-2026: architectures of 2021 to 2026.
inline const std::vector<std::string> newer_reference_models{"apertus",
                                                             "arcee",
                                                             "cohere",
                                                             "cohere2",
                                                             "ernie4.5",
                                                             "exaone4",
                                                             "gemma",
                                                             "gemma3-wrapper",
                                                             "glm",
                                                             "glm4",
                                                             "granite-yarn-mup",
                                                             "helium",
                                                             "hunyuan",
                                                             "ministral",
                                                             "ministral3",
                                                             "mistral3-wrapper",
                                                             "nemotron",
                                                             "olmo3",
                                                             "olmo3-plain",
                                                             "phi",
                                                             "seed-oss",
                                                             "smollm3",
                                                             "stablelm",
                                                             "starcoder2",
                                                             "bloom",
                                                             "dots1",
                                                             "ernie4.5-moe",
                                                             "falcon",
                                                             "falcon-7b",
                                                             "glm4-moe",
                                                             "gpt-oss",
                                                             "gptj",
                                                             "granite-moe",
                                                             "hunyuan-moe",
                                                             "minimax-m2",
                                                             "olmoe",
                                                             "opt",
                                                             "phimoe",
                                                             "qwen2-moe"};

/// Smaller ones of their kinds, in every checkout.
inline const std::vector<std::string> tiny_reference_models{"apertus-tiny",  "cohere-tiny",     "exaone4-tiny",
                                                            "glm4-tiny",     "ministral3-tiny", "mistral3-wrapper-tiny",
                                                            "nemotron-tiny", "phi-tiny"};

/// `models`; under sanitizers those of them that are in every checkout.
inline std::vector<std::string> tested_models(std::vector<std::string> models) {
  if (sanitized) {
    std::erase_if(models,
                  [](const std::string& model) { return !std::filesystem::exists(fixtures() / "reference" / model); });
  }
  return models;
}

/// All of them.
inline std::vector<std::string> all_reference_models() {
  std::vector<std::string> models = reference_models;
  models.insert(models.end(), tiny_reference_models.begin(), tiny_reference_models.end());
  models.insert(models.end(), newer_reference_models.begin(), newer_reference_models.end());
  return tested_models(std::move(models));
}

/// ONNX exports of ten of reference's: by two exporters without a cache, and with one.
inline std::vector<std::string> reference_exports() {
  std::vector<std::string> exports;
  for (const char* model : {"llama-mha", "llama-gqa-tied", "llama3-rope", "mistral-window", "qwen2", "qwen3", "phi3",
                            "gpt2", "gpt-neox", "gemma2"}) {
    for (const char* file : {"plain_torchscript", "plain_dynamo", "past_torchscript"}) {
      exports.push_back(std::string(model) + "/" + file + ".onnx");
    }
  }
  return exports;
}

/// Those of them that are in every checkout.
inline const std::vector<std::string> own_exports{"gpt-neox/plain_dynamo.onnx", "gemma2/past_torchscript.onnx"};

inline const std::vector<std::string> all_targets{"cpu-generic", "cpu-avx2", "cpu-avx-vnni", "cpu-avx512", "cpu-amx"};

/// Those whose engines this machine runs: a kernel family each. References' TargetsNotHere tells of the others.
inline std::vector<std::string> targets_here() {
  std::vector<std::string> here;
  for (const std::string& target : all_targets) {
    if (target == "cpu-avx-vnni") continue;  // cpu-avx2 but for int8
    if (runs_here(named_target(target))) here.push_back(target);
  }
  return here;
}

/// Those that whole models are run on: under sanitizers the best alone, since each kernel has its own tests.
inline std::vector<std::string> tested_targets() {
  return sanitized ? std::vector<std::string>{targets_here().back()} : targets_here();
}

/// Those of int8.
inline std::vector<std::string> int8_targets_here() {
  std::vector<std::string> here = tested_targets();
  if (runs_here(named_target("cpu-avx-vnni"))) here.push_back("cpu-avx-vnni");
  return here;
}

/// A model's directory, or an export's file. Most models and two exports are in every checkout; the path of one that is
/// not may not exist. The tests' tarball for GPUs has an export of a model without the model, which is then looked for
/// elsewhere.
inline std::filesystem::path reference_checkpoint(const std::string& model) {
  const std::filesystem::path mine = fixtures() / "reference" / model;
  const std::filesystem::path golden =
      fixtures() / "reference" / model.substr(0, model.find('/')) / "golden.safetensors";
  if (std::filesystem::exists(mine) && std::filesystem::exists(golden)) return mine;
  const std::filesystem::path newer = shared_file("reference-2026/" + model);
  return std::filesystem::exists(newer) ? newer : shared_file("reference/" + model);
}

/// What Transformers computed of a model, whichever way it came.
inline std::filesystem::path reference_golden(const std::string& model) {
  return reference_checkpoint(model.substr(0, model.find('/'))) / "golden.safetensors";
}

}  // namespace incipit
