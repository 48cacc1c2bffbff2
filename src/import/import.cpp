#include "import/import.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "import/hf/architectures.h"
#include "import/hf/checkpoint.h"
#include "import/hf/config.h"
#include "import/sources.h"

namespace incipit {
namespace {

/// Older checkpoints store the rotary frequencies, which config.json determines, and masks.
bool is_known_surplus(std::string_view tensor) {
  constexpr std::array<std::string_view, 5> endings{".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                                    ".attention.bias", ".attention.masked_bias"};
  return std::ranges::any_of(endings, [&](std::string_view ending) { return tensor.ends_with(ending); });
}

void warn_of_untaken(const Checkpoint& checkpoint, const std::filesystem::path& directory) {
  std::vector<std::string> surplus = checkpoint.untaken();
  std::erase_if(surplus, is_known_surplus);
  if (surplus.empty()) return;
  spdlog::warn("{}: {} tensors are not part of the architecture and are left out, the first is {}", directory.string(),
               surplus.size(), surplus.front());
}

}  // namespace

Model import_model(const std::filesystem::path& directory, const ImportOptions& options) {
  if (!std::filesystem::is_directory(directory)) {
    throw Error(directory.string(), "is no directory",
                "give a directory with config.json and safetensors files, or an ONNX file");
  }
  const HfConfig config = HfConfig::read(directory);
  const HfArchitecture& architecture = find_architecture(config);
  Checkpoint checkpoint = Checkpoint::open(directory, options.allow_non_finite);

  Model model;
  model.name = directory.string();
  architecture.build(config, options, checkpoint, model);
  warn_of_untaken(checkpoint, directory);
  model.architecture = architecture.name;
  model.end_ids = config.end_ids(model.vocabulary);
  model.begin_id = config.begin_id(model.vocabulary);
  model.generation_defaults = config.generation_defaults();
  model.chat_template = config.chat_template();
  model.directory = directory;
  add_small_sources(directory, model.sources);
  for (const std::string& name : checkpoint.file_names()) model.sources.push_back(digest_source(directory, name));
  return model;
}

bool is_model(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) || path.extension() == ".onnx";
}

Model import_from(const std::filesystem::path& path, const std::filesystem::path& companions,
                  const ImportOptions& options) {
  if (!std::filesystem::is_directory(path) && std::filesystem::exists(path)) {
    return import_onnx(path, companions, options);
  }
  if (!companions.empty()) {
    throw Error(path.string(), "brings its own tokenizer", "give --tokenizer with an ONNX file only");
  }
  return import_model(path, options);
}

}  // namespace incipit
