#include "import/import.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "import/hf/architectures.h"
#include "import/hf/checkpoint.h"
#include "import/hf/config.h"

namespace incipit {
namespace {

/// Everything that can shape an engine, beside the weights.
constexpr std::string_view small_files[] = {"config.json",
                                            "generation_config.json",
                                            "tokenizer.json",
                                            "tokenizer_config.json",
                                            "tokenizer.model",
                                            "vocab.json",
                                            "merges.txt",
                                            "added_tokens.json",
                                            "special_tokens_map.json",
                                            "chat_template.jinja"};

/// Reads the file once, in pieces that it lets go of again.
SourceFile digest_source(const std::filesystem::path& directory, std::string_view name) {
  constexpr size_t piece = size_t{16} << 20;
  const std::shared_ptr<const MappedFile> file = MappedFile::open(directory / name);
  const std::span<const std::byte> bytes = file->bytes();
  Digester digester;
  for (size_t offset = 0; offset < bytes.size(); offset += piece) {
    check_interrupt();
    const size_t size = std::min(piece, bytes.size() - offset);
    const size_t next = offset + size;
    if (next < bytes.size()) file->will_need(next, std::min(piece, bytes.size() - next));
    digester.update(bytes.subspan(offset, size));
    file->done_with(offset, size);
  }
  return {std::string(name), static_cast<int64_t>(bytes.size()), digester.finish().hex()};
}

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
    throw Error(directory.string(), "is no directory", "give a directory with config.json and safetensors files");
  }
  const HfConfig config = HfConfig::read(directory);
  const HfArchitecture& architecture = find_architecture(config);
  Checkpoint checkpoint = Checkpoint::open(directory);

  Model model;
  architecture.build(config, options, checkpoint, model);
  warn_of_untaken(checkpoint, directory);
  model.architecture = architecture.name;
  model.end_ids = config.end_ids(model.vocabulary);
  model.begin_id = config.begin_id(model.vocabulary);
  model.generation_defaults = config.generation_defaults();
  model.chat_template = config.chat_template();
  model.directory = directory;
  for (std::string_view name : small_files) {
    if (std::filesystem::exists(directory / name)) model.sources.push_back(digest_source(directory, name));
  }
  for (const std::string& name : checkpoint.file_names()) model.sources.push_back(digest_source(directory, name));
  return model;
}

}  // namespace incipit
