// The door: a model on disk, or a bare geometry, becomes a Model in decoder form.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "graph/model.h"

namespace incipit {

struct ImportOptions {
  /// Positions of a sequence that the engine will have; 0: what the model was trained for. Longrope's frequencies and
  /// whether a window ever closes depend on it.
  int64_t max_context = 0;
};

/// Reads a Hugging Face model directory (config.json, safetensors; tokenizer files are only listed among the sources).
/// Weights stay in their mapped files and are read when asked for. Digests every source file, so it reads the whole
/// checkpoint once. Throws Error naming the file, tensor or option at fault.
Model import_model(const std::filesystem::path& directory, const ImportOptions& options = {});

/// A model of a known geometry with random weights that depend only on `seed`: for measuring speed. Throws Error naming
/// the geometries there are.
Model import_geometry(std::string_view name, uint64_t seed);
std::vector<std::string> geometry_names();

}  // namespace incipit
