// Writing an .engine file: sections are added, weights are streamed, the header is written last, and nothing is visible
// under the final name until commit().
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "base/target.h"
#include "engine/format.h"

namespace incipit {

class EngineWriter {
 public:
  EngineWriter(const std::filesystem::path& target, const Target& needs);
  ~EngineWriter();

  /// Adds a section (plan, manifest, tokenizer, …), with flags of format.h. Returns its file offset.
  uint64_t add_section(SectionKind kind, std::span<const std::byte> bytes, uint32_t flags = 0);
  /// Appends to the weights section, the first of the file (it starts at engine_page); all weights come before any
  /// add_section. Returns the file offset at which `bytes` begins, 64-byte aligned.
  uint64_t write_weights(std::span<const std::byte> bytes);
  /// Starts a plane that is written in pieces: aligns to 64 bytes and returns its file offset.
  uint64_t align_weights();
  /// Continues the plane with no alignment.
  void append_weights(std::span<const std::byte> bytes);
  /// Returns the digest of the body.
  Digest commit();
  /// Written so far.
  uint64_t bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
