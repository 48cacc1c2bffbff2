// Files beside a model that hold its weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/constant.h"

namespace incipit::onnx {

/// What a TensorProto says of data elsewhere. Source: ExternalDataInfo of onnx/external_data_helper.py.
struct ExternalLocation {
  std::string location;  // a path relative to the model's directory
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

/// Maps each file once. A model is a stranger's: its files must lie in its own directory, links followed. Where the
/// model is a link itself, that may be the directory of the link or the one of the file: a cache of Hugging Face's has
/// links to all files of a model, which lie together elsewhere.
class ExternalFiles {
 public:
  explicit ExternalFiles(const std::filesystem::path& model);

  /// Throws Error naming `thing` for a path that leads out, and for a range outside the file or of another size than
  /// dtype and shape ask for.
  ConstantPtr constant(const std::string& thing, const ExternalLocation& where, DType dtype, const Shape& shape);
  /// In the order in which they were first asked for.
  const std::vector<std::filesystem::path>& paths() const { return paths_; }

 private:
  const std::shared_ptr<const MappedFile>& open(const std::string& thing, const std::string& location);
  std::filesystem::path directory_;  // as it is named
  std::filesystem::path source_;     // of the file itself, without links
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
  std::vector<std::filesystem::path> paths_;
};

}  // namespace incipit::onnx
