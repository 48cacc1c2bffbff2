// Copies of the reference models that a test may change and spoil.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "import/import.h"
#include "import/safetensors.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A copy of a reference model that a test may spoil.
class Spoilable {
 public:
  explicit Spoilable(const std::string& name) : source_(fixtures() / "reference" / name) {
    for (const char* file : {"config.json", "generation_config.json"}) {
      std::filesystem::copy_file(source_ / file, directory_.path() / file);
    }
    const SafetensorsFile file = SafetensorsFile::open(source_ / "model.safetensors");
    for (const std::string& tensor : file.names()) tensors.emplace(tensor, file.load(tensor));
  }
  const std::filesystem::path& path() const { return directory_.path(); }
  const std::filesystem::path& source() const { return source_; }
  void save() const { write_safetensors(path() / "model.safetensors", tensors); }
  /// Replaces text in config.json.
  void edit(const std::string& from, const std::string& to) const {
    std::string text = read_file(path() / "config.json");
    const size_t place = text.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    write_file(path() / "config.json", text.replace(place, from.size(), to));
  }
  void convert(DType dtype) {
    for (auto& [name, tensor] : tensors) {
      std::vector<float> values(static_cast<size_t>(tensor.elements()));
      convert_to_float(tensor.dtype(), tensor.data(), values.data(), values.size());
      Tensor converted(dtype, tensor.shape());
      convert_from_float(values.data(), dtype, converted.data(), values.size());
      tensor = std::move(converted);
    }
  }
  std::string error() const {
    try {
      import_model(path());
    } catch (const Error& error) {
      std::string text = error.what();
      const size_t place = text.find(path().string());
      if (place != std::string::npos) text.replace(place, path().string().size(), "MODEL");
      return text;
    }
    return "accepted";
  }

  std::map<std::string, Tensor> tensors;

 private:
  TemporaryDirectory directory_;
  std::filesystem::path source_;
};

}  // namespace incipit
