#include "import/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "import/hf/architectures.h"
#include "import/hf/checkpoint.h"
#include "import/hf/config.h"
#include "import/hf/quantized_checkpoint.h"
#include "import/hf/wrappers.h"
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
  log_warning("{}: {} tensors are not part of the architecture and are left out, the first is {}", directory.string(),
              surplus.size(), surplus.front());
}

/// What is left out of a wrapper, by module: "vision_tower (19 tensors)".
void tell_of_left_out(const Checkpoint& checkpoint, const std::filesystem::path& directory) {
  std::map<std::string, int64_t> modules;
  for (const std::string& tensor : checkpoint.untaken()) {
    if (is_known_surplus(tensor)) continue;
    const size_t first = tensor.starts_with("model.") ? 6 : 0;
    ++modules[tensor.substr(first, tensor.find('.', first) - first)];
  }
  std::string left_out;
  for (const auto& [module, tensors] : modules) {
    left_out +=
        fmt::format("{}{} ({} tensor{})", left_out.empty() ? "" : ", ", module, tensors, tensors == 1 ? "" : "s");
  }
  if (!left_out.empty()) {
    log_warning("{}: text alone is read; left out are {}", directory.string(), left_out);
  }
}

/// "meta-llama/Llama-3.2-1B" or "gpt2": what the Hugging Face hub calls the model that is meant by such a name, or by
/// an address of the hub's. Empty where it can be none.
std::string hub_name(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 4> addresses{"hf://", "https://huggingface.co/", "https://hf.co/",
                                                      "huggingface.co/"};
  constexpr std::array<std::string_view, 7> endings{".onnx", ".gguf", ".safetensors", ".bin",
                                                    ".pt",   ".json", ".engine"};
  std::string name = path.string();
  const auto* const address =
      std::ranges::find_if(addresses, [&](std::string_view one) { return name.starts_with(one); });
  if (address != addresses.end()) {
    name.erase(0, address->size());
    for (const std::string_view of_a_file : {"/tree/", "/blob/", "/resolve/"})
      name.resize(std::min(name.find(of_a_file), name.size()));
    while (name.ends_with('/')) name.pop_back();
  } else if (std::ranges::find(endings, path.extension().string()) != endings.end() ||
             (path.has_parent_path() && is_there(path.parent_path()))) {
    return {};
  }
  const auto may_be_in_one = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  const bool is_one = !name.empty() && std::ranges::all_of(name, may_be_in_one) && name.front() != '.' &&
                      name.front() != '/' && name.front() != '-' && name.back() != '/' &&
                      std::ranges::count(name, '/') <= 1;
  return is_one ? name : std::string();
}

[[noreturn]] void refuse_missing(const std::filesystem::path& path) {
  constexpr std::string_view elsewhere = "is nothing on this machine, and incipit fetches no models";
  if (const std::string name = hub_name(path); !name.empty()) {
    throw Error(path.string(), elsewhere,
                fmt::format("if it is one of the Hugging Face hub's, get it with: hf download {} --local-dir {}; then "
                            "give that directory",
                            name, std::filesystem::path(name).filename().string()));
  }
  if (path.string().find("://") != std::string::npos) {
    throw Error(path.string(), elsewhere, "fetch the model first, then give its directory");
  }
  throw Error(path.string(), is_there(path) ? "is no directory" : "no such file or directory",
              "give a directory with config.json and safetensors files, or an ONNX file");
}

/// Files of models that are not read: what they are, and what to give in their place.
void refuse_other_formats(const std::filesystem::path& path) {
  constexpr std::string_view zip = "PK\x03\x04", pickle = "\x80\x02";
  const std::string beginning = beginning_of(path, 9);
  if (beginning.starts_with("GGUF")) {
    throw Error(path.string(), "is a GGUF file, which incipit does not read",
                "give the checkpoint it was made from (a directory with config.json and safetensors), or an ONNX file");
  }
  // A header's length below 2^32, then the header.
  const bool is_safetensors =
      beginning.size() == 9 && beginning[8] == '{' && beginning.substr(4, 4) == std::string(4, 0);
  if (is_safetensors || path.extension() == ".safetensors" || path.extension() == ".json") {
    const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
    throw Error(path.string(), "is a part of a model",
                fmt::format("give the directory that has it and config.json: {}", directory.string()));
  }
  if (beginning.starts_with(zip) || beginning.starts_with(pickle)) {
    throw Error(path.string(), "is an archive or a PyTorch file, which incipit does not read",
                "give a directory with config.json and safetensors files, or an ONNX file");
  }
}

/// A directory without a checkpoint that is read: a model of another format in it is named.
void refuse_other_formats_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> others, onnx;
  bool has_safetensors = false;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::filesystem::path ending = entry.path().extension();
    if (ending == ".safetensors") has_safetensors = true;
    if (ending == ".onnx") onnx.push_back(entry.path());
    if (ending == ".gguf" || ending == ".bin" || ending == ".pt" || ending == ".pth") others.push_back(entry.path());
  }
  if (has_safetensors) return;
  std::ranges::sort(onnx);
  std::ranges::sort(others);
  if (!onnx.empty()) {
    throw Error(directory.string(), fmt::format("holds no safetensors files, but {}", onnx.front().filename().string()),
                fmt::format("for that, give the file: {}", onnx.front().string()));
  }
  for (const std::filesystem::path& file : others) refuse_other_formats(file);
}

}  // namespace

Model import_model(const std::filesystem::path& directory, const ImportOptions& options) {
  if (!is_a_directory(directory)) refuse_missing(directory);
  refuse_other_formats_in(directory);
  HfConfig config = HfConfig::read(directory);
  const bool is_wrapped = is_wrapper(config);
  if (!is_wrapped) find_architecture(config);  // what is unknown is told before tensors are looked for
  Checkpoint checkpoint = Checkpoint::open(directory, options.allow_non_finite);
  QuantizedCheckpoint numbers(config, checkpoint);
  TextTensors text(numbers);
  if (is_wrapped) config = read_text_config(config, text);
  const HfArchitecture& architecture = find_architecture(config);

  Model model;
  model.name = directory.string();
  architecture.build(config, options, is_wrapped ? static_cast<TensorSource&>(text) : numbers, model);
  is_wrapped ? tell_of_left_out(checkpoint, directory) : warn_of_untaken(checkpoint, directory);
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
