#include "engine/writer.h"

#include <array>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "engine/header.h"

namespace incipit {
namespace {

constexpr std::array<std::byte, engine_page> zeros{};

}  // namespace

struct EngineWriter::State {
  explicit State(const std::filesystem::path& target) : file(target) {}

  AtomicFile file;
  EngineHeader header;
  SlabDigester slabs;
  std::vector<Digest> slab_digests;
  bool weights_open = true;

  void pad(uint64_t alignment) {
    const uint64_t missing = aligned(file.size(), alignment) - file.size();
    file.write(std::span(zeros).first(missing));
  }

  /// Bytes of the weights section, gaps between planes included.
  void write_weights(std::span<const std::byte> bytes) {
    file.write(bytes);
    slabs.update(bytes);
  }

  void enter(SectionKind kind, uint64_t offset, uint64_t bytes, const Digest& digest, uint32_t flags = 0) {
    INCIPIT_ASSERT(header.section_count < max_sections);
    header.sections[header.section_count++] = {static_cast<uint32_t>(kind), flags, offset, bytes, digest};
  }

  void close_weights() {
    if (!weights_open) return;
    weights_open = false;
    slab_digests = slabs.finish();
    enter(SectionKind::weights, engine_page, file.size() - engine_page,
          digest_of(std::as_bytes(std::span(slab_digests))));
  }
};

EngineWriter::EngineWriter(const std::filesystem::path& target, const Target& needs)
    : state_(std::make_unique<State>(target)) {
  set_target(state_->header, needs);
  state_->file.write(zeros);  // the header's place
}

EngineWriter::~EngineWriter() = default;

uint64_t EngineWriter::add_section(SectionKind kind, std::span<const std::byte> bytes, uint32_t flags) {
  INCIPIT_ASSERT(kind != SectionKind::weights);
  state_->close_weights();
  state_->pad(section_alignment);
  const uint64_t offset = state_->file.size();
  state_->file.write(bytes);
  state_->enter(kind, offset, bytes.size(), digest_of(bytes), flags);
  return offset;
}

uint64_t EngineWriter::write_weights(std::span<const std::byte> bytes) {
  const uint64_t offset = align_weights();
  append_weights(bytes);
  return offset;
}

uint64_t EngineWriter::align_weights() {
  INCIPIT_ASSERT(state_->weights_open);
  const uint64_t size = state_->file.size();
  state_->write_weights(std::span(zeros).first(aligned(size, section_alignment) - size));
  return state_->file.size();
}

void EngineWriter::append_weights(std::span<const std::byte> bytes) {
  INCIPIT_ASSERT(state_->weights_open);
  state_->write_weights(bytes);
}

uint64_t EngineWriter::bytes() const { return state_->file.size(); }

Digest EngineWriter::commit() {
  state_->close_weights();
  add_section(SectionKind::weight_digests, std::as_bytes(std::span(state_->slab_digests)));
  state_->pad(section_alignment);
  EngineHeader& header = state_->header;
  header.body_bytes = state_->file.size();
  seal(header);
  state_->file.write_at(0, std::as_bytes(std::span(&header, 1)));
  state_->file.commit();
  return header.body_digest;
}

}  // namespace incipit
