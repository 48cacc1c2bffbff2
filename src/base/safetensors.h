// The safetensors file: eight bytes of header length, a JSON header, the tensors' bytes.
// Format: https://github.com/huggingface/safetensors#format; validated as strictly as its reference implementation.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"

namespace incipit {

class MappedFile;

/// A mapped file and where its tensors lie. Whoever keeps a view must keep owner().
class SafetensorsFile {
 public:
  /// Throws Error naming the path when the file cannot be read or breaks the format: header out of range or no valid
  /// JSON, a name twice, a shape or offset that is no number or overflows, a size that does not fit dtype and shape,
  /// tensors that overlap, leave holes, or end elsewhere than the file. Element types that we do not read are found
  /// out when such a tensor is asked for.
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same from memory that `owner` keeps alive; `name` stands for the path in errors.
  static SafetensorsFile parse(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  const std::string& name() const { return name_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  /// What the bytes are mapped from; null: they are in memory.
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  /// Sorted.
  std::vector<std::string> names() const;
  bool contains(std::string_view tensor) const { return entries_.find(tensor) != entries_.end(); }
  /// Throw Error when there is no such tensor.
  const Shape& shape(std::string_view tensor) const;
  /// Its bytes in the file, which need not be aligned to its element type: read them with memcpy or convert_to_float.
  /// Throws Error naming the element type when it is not one of base/dtype.h.
  TensorView tensor(std::string_view tensor) const;
  /// An aligned copy.
  Tensor load(std::string_view tensor) const;

 private:
  struct Entry {
    std::string dtype;  // as the file spells it
    Shape shape;
    size_t begin = 0, end = 0;  // bytes, from the start of the file
  };
  const Entry& entry(std::string_view tensor) const;
  void read_header(std::string_view header, size_t data_begin);
  void check_layout(size_t data_begin) const;

  std::string name_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Writes a file that the reader above (and any other) accepts; atomically. `made_by`, where given, is in the metadata
/// that the header begins with. Throws Error when it cannot be written.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       std::string_view made_by = {});

}  // namespace incipit
