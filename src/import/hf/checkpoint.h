// The safetensors files of a model directory: one, or shards listed by model.safetensors.index.json.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/safetensors.h"
#include "import/hf/tensor_source.h"

namespace incipit {

/// A lazy constant over a tensor's bytes; what it has read of a file does not stay in residence.
ConstantPtr constant_of(const SafetensorsFile& file, std::string_view tensor);

class Checkpoint : public TensorSource {
 public:
  /// Throws Error when there is no safetensors file, or a shard is missing, damaged, or lacks what the index says.
  /// Its tensors refuse to be read where they are NaN or infinite, unless `allow_non_finite`.
  static Checkpoint open(const std::filesystem::path& directory, bool allow_non_finite = false);

  bool contains(std::string_view tensor) const override { return places_.find(tensor) != places_.end(); }
  ConstantPtr take(const std::string& tensor, const Shape& shape) override;

  /// A tensor of any type and shape, as it is stored. Throws Error where there is none.
  ConstantPtr take_stored(const std::string& tensor);
  /// The same, which refuses to be read where it is NaN or infinite, unless the checkpoint is opened otherwise.
  ConstantPtr refuse_unless_finite(ConstantPtr constant, const std::string& tensor) const;
  /// The file that lists the tensors.
  const std::string& name() const { return name_; }
  /// Names, relative to the directory, of the files that were opened (index first).
  const std::vector<std::string>& file_names() const { return file_names_; }
  /// Tensors that nobody took, sorted.
  std::vector<std::string> untaken() const;

 private:
  Checkpoint() = default;
  bool allow_non_finite_ = false;
  std::string name_;  // the file that lists the tensors, for errors
  std::vector<std::string> file_names_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t, std::less<>> places_;  // tensor → index into files_
  std::set<std::string, std::less<>> taken_;
};

}  // namespace incipit
