#include "engine/header.h"

#include <cstddef>
#include <span>

#include "base/error.h"

namespace incipit {

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
