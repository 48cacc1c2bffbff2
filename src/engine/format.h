// The .engine file, byte by byte.
//
//   [0, 4096)        header page: EngineHeader, then zeros
//   sections         plan, manifest, tokenizer, … each 64-byte aligned; `weights` page aligned and first, so that
//                   the plan, written after it, can name file offsets
//   body_bytes       end of the body: reproducible, the same inputs and tuning cache give the same bytes
//   trailer          records, each appended whole: TrailerHeader, payload (JSON text)
//
// All integers little endian. The header carries its own digest, a digest of every section, and the body digest
// (of all section digests and kinds in order), to which every trailer record is bound. The weights' digest is that of
// the section `weight_digests`, which has a digest for each slab of them, so that slabs can be checked one by one.
#pragma once

#include <array>
#include <cstdint>

#include "base/digest.h"

namespace incipit {

constexpr std::array<char, 8> engine_magic{'I', 'N', 'C', 'I', 'P', 'I', 'T', '\n'};
constexpr uint32_t engine_version = 2;  // 1 had one digest for all weights
constexpr uint32_t oldest_readable_engine_version = 2;
constexpr uint64_t engine_page = 4096;
constexpr uint64_t weight_slab = uint64_t{1} << 20;  // bytes; the last slab may have fewer

enum class SectionKind : uint32_t {
  plan = 1,
  manifest = 2,
  tokenizer = 3,
  chat_template = 4,
  generation = 5,
  weights = 6,
  weight_digests = 7,  // Digest[slabs of the weights]
  device_code = 8,     // what kernels of the plan name functions of
  golden = 9,          // inputs with the results that are expected
  certificate = 10     // what was proved of the engine's accuracy
};
constexpr uint32_t max_sections = 16;

struct SectionEntry {
  uint32_t kind = 0;
  uint32_t flags = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  Digest digest;
};
static_assert(sizeof(SectionEntry) == 40);

/// A flag of a section: who does not know its kind refuses the engine. Others are passed over, their digests checked.
constexpr uint32_t section_required = 1;

struct EngineHeader {
  std::array<char, 8> magic = engine_magic;
  uint32_t version = engine_version;
  uint32_t features = 0;  // of the Target that its kernels need: CpuFeatures bits
  uint64_t body_bytes = 0;
  uint32_t section_count = 0;
  uint16_t backend = 0;  // Backend
  uint16_t architecture = 0;
  std::array<SectionEntry, max_sections> sections{};
  Digest body_digest;
  Digest header_digest;  // of all bytes before it
};
static_assert(sizeof(EngineHeader) <= engine_page);

struct TrailerHeader {
  std::array<char, 8> magic{'I', 'N', 'C', 'T', 'R', 'L', 'R', '\n'};
  uint32_t kind = 0;  // TrailerKind
  uint32_t reserved = 0;
  uint64_t payload_bytes = 0;
  Digest body_digest;
  Digest digest;  // of kind, payload_bytes, body_digest and payload
};
static_assert(sizeof(TrailerHeader) == 56);

enum class TrailerKind : uint32_t {
  baseline = 1,  // times
  accuracy = 2,  // beside the model in f32
  golden = 3     // what the engine computed of a fixed text where it was built
};

}  // namespace incipit
