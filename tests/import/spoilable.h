// Copies of the reference models that a test may change and spoil.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/safetensors.h"
#include "graph/text_form.h"
#include "import/import.h"
#include "support/reference_models.h"
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
  explicit Spoilable(const std::string& name) : source_(reference_checkpoint(name)) {
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

  /// Renames tensors by a prefix that they begin with.
  void replace_prefix(std::string_view from, std::string_view to) {
    std::map<std::string, Tensor> renamed;
    for (auto& [name, tensor] : tensors) {
      const bool has_prefix = name.starts_with(from);
      renamed.emplace(has_prefix ? std::string(to) + name.substr(from.size()) : name, std::move(tensor));
    }
    tensors = std::move(renamed);
  }

  std::map<std::string, Tensor> tensors;

 private:
  TemporaryDirectory directory_;
  std::filesystem::path source_;
};

inline std::string graph_text(const std::filesystem::path& model, const ImportOptions& options = {}) {
  return to_text(import_model(model, options).graph);
}

/// config.json without the keys in `without`, and with the members of `with`.
inline void change_config(const Spoilable& model, const std::vector<const char*>& without, std::string_view with) {
  boost::json::object config = boost::json::parse(read_file(model.path() / "config.json")).get_object();
  for (const char* key : without) EXPECT_EQ(config.erase(key), 1U) << key;
  const boost::json::value members = boost::json::parse("{" + std::string(with) + "}");
  for (const auto& [key, value] : members.get_object()) config[key] = value;
  write_file(model.path() / "config.json", boost::json::serialize(config));
}

inline std::string error_with(const char* name, const std::vector<const char*>& without, std::string_view with) {
  const Spoilable model(name);
  model.save();
  change_config(model, without, with);
  return model.error();
}

/// Options in a form that a published config.json has, and in Transformers 5's.
struct PublishedForm {
  const char* model;
  std::vector<const char*> without;
  const char* with;
};

inline void PrintTo(const PublishedForm& form, std::ostream* out) { *out << form.model; }

inline void expect_same_graph(const PublishedForm& form) {
  const Spoilable model(form.model);
  model.save();
  change_config(model, form.without, form.with);
  EXPECT_EQ(graph_text(model.path()), graph_text(model.source()));
}

}  // namespace incipit
