#include "engine/header.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "base/error.h"

namespace incipit {

void SlabDigester::update(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!open_) open_ = std::make_unique<Digester>();
    const size_t count = std::min<uint64_t>(bytes.size(), weight_slab - filled_);
    open_->update(bytes.first(count));
    bytes = bytes.subspan(count);
    filled_ += count;
    if (filled_ < weight_slab) continue;
    whole_.push_back(open_->finish());
    open_.reset();
    filled_ = 0;
  }
}

std::vector<Digest> SlabDigester::finish() {
  if (open_) whole_.push_back(open_->finish());
  open_.reset();
  filled_ = 0;
  return std::exchange(whole_, {});
}

void set_target(EngineHeader& header, const Target& target) {
  header.backend = static_cast<uint16_t>(target.backend);
  header.architecture = target.architecture;
  header.features = target.features.bits;
}

Target target_of(const EngineHeader& header) {
  INCIPIT_ASSERT(knows_target(header));
  Target target(static_cast<Backend>(header.backend), header.architecture);
  target.features = {header.features};
  return target;
}

bool knows_target(const EngineHeader& header) {
  return header.backend < backend_count && all_cpu_features.includes({header.features});
}

Digest body_digest_of(const EngineHeader& header) {
  INCIPIT_ASSERT(header.section_count <= max_sections);
  Digester digester;
  for (uint32_t i = 0; i < header.section_count; ++i) {
    const SectionEntry& section = header.sections[i];
    digester.update(std::as_bytes(std::span(&section.kind, 1)));
    digester.update(std::as_bytes(std::span(section.digest.bytes)));
  }
  return digester.finish();
}

Digest header_digest_of(const EngineHeader& header) {
  return digest_of(std::as_bytes(std::span(&header, 1)).first(offsetof(EngineHeader, header_digest)));
}

void seal(EngineHeader& header) {
  header.body_digest = body_digest_of(header);
  header.header_digest = header_digest_of(header);
}

}  // namespace incipit
