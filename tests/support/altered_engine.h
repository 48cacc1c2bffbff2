// Engines whose weights were changed so that nothing but their results tells: every digest is that of what is there.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/header.h"
#include "engine/plan_items.h"
#include "engine/trailer.h"

namespace incipit {

/// May write into the engine's file, whose bytes it gets, where the plan says that there are weights.
using AlterWeights = std::function<void(const plan::Plan& plan, std::span<std::byte> file)>;

namespace altered {

template <typename T>
T read(const std::string& file, uint64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}
template <typename T>
void write(std::string& file, uint64_t offset, const T& value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}

}  // namespace altered

/// Writes the engine that `alter` has made of another one, with its trailer.
inline void write_altered_engine(const std::filesystem::path& from, const std::filesystem::path& to,
                                 const AlterWeights& alter) {
  std::string file = read_text_file(from);
  const auto bytes = std::as_writable_bytes(std::span(file));
  alter(Engine::open(from)->plan(), bytes);
  auto header = altered::read<EngineHeader>(file, 0);
  SectionEntry& weights = header.sections[0];
  SlabDigester slabs;
  slabs.update(bytes.subspan(weights.offset, weights.bytes));
  const std::vector<Digest> digests = slabs.finish();
  for (SectionEntry& section : std::span(header.sections).first(header.section_count)) {
    if (section.kind != static_cast<uint32_t>(SectionKind::weight_digests)) continue;
    std::memcpy(file.data() + section.offset, digests.data(), section.bytes);
    section.digest = weights.digest = digest_of(bytes.subspan(section.offset, section.bytes));
  }
  seal(header);
  altered::write(file, 0, header);
  for (uint64_t offset = header.body_bytes; offset < file.size();) {
    auto record = altered::read<TrailerHeader>(file, offset);
    record.body_digest = header.body_digest;
    record.digest = record_digest(record, bytes.subspan(offset + sizeof record, record.payload_bytes));
    altered::write(file, offset, record);
    offset += sizeof record + record.payload_bytes;
  }
  std::ofstream(to, std::ios::binary) << file;
}

/// The bytes of the first plane of that role of the weight whose name contains `name`.
inline std::span<std::byte> plane_of(const plan::Plan& plan, std::span<std::byte> file, std::string_view name) {
  for (const plan::Weight* weight : items(plan.weights())) {
    if (incipit::text(weight->name()).find(name) == std::string_view::npos) continue;
    const plan::Plane* const plane = weight->planes()->Get(0);
    return file.subspan(plane->offset(), plane->bytes());
  }
  return {};
}

}  // namespace incipit
