#include "import/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/paths.h"
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

/// "meta-llama/Llama-3.2-1B": how the Hugging Face hub calls models.
bool may_be_hub_name(const std::filesystem::path& path) {
  const std::string name = path.string();
  const size_t slash = name.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == name.size()) return false;
  if (name.find('/', slash + 1) != std::string::npos || name.front() == '.') return false;
  return path.extension() != ".onnx" && !is_there(path.parent_path());
}

[[noreturn]] void refuse_missing(const std::filesystem::path& path) {
  if (may_be_hub_name(path)) {
    throw Error(path.string(), "is nothing on this machine, and incipit fetches no models",
                fmt::format("if it is one of the Hugging Face hub's, get it with: hf download {} --local-dir {}; then "
                            "give that directory",
                            path.string(), path.filename().string()));
  }
  throw Error(path.string(), is_there(path) ? "is no directory" : "no such file or directory",
              "give a directory with config.json and safetensors files, or an ONNX file");
}

/// Files of models that are not read: what they are, and what to give in their place.
void refuse_other_formats(const std::filesystem::path& path) {
  constexpr std::string_view zip = "PK\x03\x04", pickle = "\x80\x02";
  std::array<char, 9> bytes{};
  std::ifstream(path, std::ios::binary).read(bytes.data(), bytes.size());
  const std::string_view beginning(bytes.data(), bytes.size());
  if (beginning.starts_with("GGUF")) {
    throw Error(path.string(), "is a GGUF file, which incipit does not read",
                "give the checkpoint it was made from (a directory with config.json and safetensors), or an ONNX file");
  }
  // A header's length below 2^32, then the header.
  if (path.extension() == ".safetensors" || (beginning.ends_with('{') && beginning.substr(4, 4) == std::string(4, 0))) {
    throw Error(path.string(), "is a safetensors file, which is a part of a model",
                "give the directory that has it and config.json");
  }
  if (beginning.starts_with(zip) || beginning.starts_with(pickle)) {
    throw Error(path.string(), "is an archive or a PyTorch file, which incipit does not read",
                "give a directory with config.json and safetensors files, or an ONNX file");
  }
}

}  // namespace

Model import_model(const std::filesystem::path& directory, const ImportOptions& options) {
  if (!is_a_directory(directory)) refuse_missing(directory);
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

bool is_model(const std::filesystem::path& path) { return is_a_directory(path) || path.extension() == ".onnx"; }

Model import_from(const std::filesystem::path& path, const std::filesystem::path& companions,
                  const ImportOptions& options) {
  if (!is_there(path)) refuse_missing(path);
  if (!is_a_directory(path)) {
    refuse_other_formats(path);
    return import_onnx(path, companions, options);
  }
  if (!companions.empty()) {
    throw Error(path.string(), "brings its own tokenizer", "give --tokenizer with an ONNX file only");
  }
  return import_model(path, options);
}

}  // namespace incipit
