#include "import/sources.h"

#include <algorithm>

#include "base/digest.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/progress.h"

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

}  // namespace

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

void add_small_sources(const std::filesystem::path& directory, std::vector<SourceFile>& sources) {
  for (const std::string_view name : small_files) {
    if (is_there(directory / name)) sources.push_back(digest_source(directory, name));
  }
}

}  // namespace incipit
