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
  /// Weights may be NaN or infinite; otherwise reading such a weight throws Error naming its tensor.
  bool allow_non_finite = false;
};

/// Reads a Hugging Face model directory (config.json, safetensors; tokenizer files are only listed among the sources).
/// Weights stay in their mapped files and are read when asked for. Digests every source file, so it reads the whole
/// checkpoint once. Throws Error naming the file, tensor or option at fault.
Model import_model(const std::filesystem::path& directory, const ImportOptions& options = {});

/// Reads an ONNX model (with its external data) as the graph of primitives that it is; passes raise it to a decoder
/// where it is one. `companions`: the directory of config.json, tokenizer.json and what else says how to use it; empty:
/// the model's own. What ONNX does not say (layers, hidden) is 0, as is max_position where no config.json tells it.
/// Throws Error naming the file, node or operators at fault.
/// An ONNX weight may be infinite as far as importing goes, because masks are.
Model import_onnx(const std::filesystem::path& file, const std::filesystem::path& companions = {},
                  const ImportOptions& options = {});

/// Whether a path is what import_from takes: a directory, or a file called *.onnx.
bool is_model(const std::filesystem::path& path);
/// By whichever door: import_model for a directory, import_onnx for a file. Companions are an ONNX file's only; Error
/// otherwise.
Model import_from(const std::filesystem::path& path, const std::filesystem::path& companions,
                  const ImportOptions& options);

/// A model of a known geometry with random weights that depend only on `seed`: for measuring speed. Throws Error naming
/// the geometries there are.
Model import_geometry(std::string_view name, uint64_t seed);
std::vector<std::string> geometry_names();

}  // namespace incipit
