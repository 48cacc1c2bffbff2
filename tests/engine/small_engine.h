// A small engine and its bytes. Its plan is sound but means nothing to a kernel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/header.h"
#include "engine/plan_bytes.h"
#include "engine/writer.h"

namespace incipit {

inline std::span<const std::byte> as_bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline constexpr std::string_view small_manifest = R"({"name":"small"})";
inline constexpr std::string_view small_template = "{{ messages }}";
inline constexpr std::string_view small_defaults = R"({"temperature":0})";
inline constexpr std::string_view small_tokenizer = "tables";

inline plan::OperandT operand(plan::Space space, uint32_t index = 0, uint32_t column = 0, uint32_t width = 0) {
  return {{}, space, index, column, width};
}
inline plan::KernelUseT kernel_use(uint32_t rows, std::string kernel) {
  return {{}, rows, std::move(kernel), 1, "default", ""};
}
inline plan::WeightT dense_weight(std::string name, uint32_t rows, uint32_t columns) {
  plan::WeightT weight;
  weight.name = std::move(name);
  weight.layout = "dense";
  weight.format = "f32";
  weight.rows = rows;
  weight.columns = columns;
  weight.planes = {{{}, plan::PlaneRole::values, "f32", engine_page, uint64_t{4} * rows * columns}};
  return weight;
}

/// Two buckets, one weight of 100 bytes at the beginning of the weights, one cache group of two layers.
inline plan::PlanT small_plan() {
  plan::PlanT plan;
  plan.vocabulary = 10;
  plan.hidden = 4;
  plan.layers = 2;
  plan.max_context = 64;
  plan.max_sequences = 2;
  plan.begin_id = 1;
  plan.end_ids = {2, 3};
  plan.precision = "f32";
  plan.weights = {dense_weight("table", 5, 5)};
  plan.weights[0].sources = {{{}, "first", 10, 3, 5, 1, ""}, {{}, "second", 0, 2, 5, 1, "gain"}};
  plan.buffers = {{{}, "x", "f32", plan::Axis::tokens, 4}, {{}, "logits", "f32", plan::Axis::rows, 10}};
  plan.logits = 1;
  plan.buckets = {{{}, 1, 1, 1, 512, {0, 256}}, {{}, 8, 4, 2, 8 * 256 + 4 * 256, {0, 8 * 256}}};
  plan.groups = {{{},
                  {0, 1},
                  0,
                  plan::CacheKind::paged,
                  {{{}, "keys", 1, 2, "f32", ""}, {{}, "values", 1, 2, "f32", ""}},
                  16,
                  512,
                  "kv-vnni"}};
  const std::vector<plan::KernelUseT> kernels{kernel_use(2, "embedding/a"), kernel_use(8, "embedding/b")};
  using plan::Space;
  plan.steps = {{{},
                 "embed",
                 "embedding width=4",
                 plan::Axis::tokens,
                 {operand(Space::ids), operand(Space::weight, 0)},
                 {operand(Space::buffer, 0, 0, 4)},
                 kernels},
                {{},
                 "write",
                 "kv_write",
                 plan::Axis::tokens,
                 {operand(Space::buffer, 0, 0, 2), operand(Space::buffer, 0, 2, 2), operand(Space::cache, 0, 1)},
                 {},
                 kernels}};
  const auto frame = [&](std::string name, std::string problem, plan::Axis axis) {
    return std::make_unique<plan::StepT>(plan::StepT{{}, std::move(name), std::move(problem), axis, {}, {}, kernels});
  };
  plan.resolve_tokens = frame("resolve", "resolve_tokens vocabulary=10", plan::Axis::tokens);
  plan.sample = frame("sample", "sample vocabulary=10", plan::Axis::rows);
  return plan;
}

/// y = copy(x + b): a primitive with attributes and a constant, and a launch.
inline plan::PlanT small_plain_plan() {
  plan::PlanT plan;
  plan.precision = "f32";
  plan.buffers = {{{}, "sum", "f32", plan::Axis::tokens, 4}, {{}, "y", "f32", plan::Axis::tokens, 4}};
  plan.buckets = {{{}, 8, 8, 1, 0, {}}};
  plan.steps = {{{},
                 "copy",
                 "elementwise op=copy width=4",
                 plan::Axis::tokens,
                 {operand(plan::Space::buffer, 0, 0, 4), operand(plan::Space::absent)},
                 {operand(plan::Space::buffer, 1, 0, 4)},
                 {kernel_use(8, "elementwise/a")}}};
  plan.graph = std::make_unique<plan::PlainGraphT>();
  plan::PlainGraphT& graph = *plan.graph;
  graph.inputs = {{{}, "x", "f32", {"rows", "4"}, 0}};
  graph.constants = {{{}, "b", "f32", {4}, engine_page}};
  graph.operations = {
      {{}, "add", "Binary", {{{}, "function", plan::AttributeKind::text, 0, 0, "add", {}}}, 0, {0, 1}, 1},
      {{}, "turn", "Transpose", {{{}, "perm", plan::AttributeKind::integers, 0, 0, "", {0, 1}}}, 0, {2}, 1},
      {{}, "copy", "", {}, 0, {3, -1}, 1},
  };
  graph.outputs = {{{}, "y", "f32", {"rows", "4"}, 4}};
  return plan;
}

inline void write_small_engine(const std::filesystem::path& path, const plan::PlanT& plan = small_plan(),
                               const Target& needs = {}) {
  EngineWriter writer(path, needs);
  std::vector<std::byte> weights(100);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i + 1);
  writer.write_weights(weights);
  writer.write_weights(std::span(weights).first(7));
  writer.add_section(SectionKind::plan, plan_bytes(plan));
  writer.add_section(SectionKind::manifest, as_bytes_of(small_manifest));
  writer.add_section(SectionKind::tokenizer, as_bytes_of(small_tokenizer));
  writer.add_section(SectionKind::chat_template, as_bytes_of(small_template));
  writer.add_section(SectionKind::generation, as_bytes_of(small_defaults));
  writer.commit();
}

/// A copy of bytes, aligned as a mapping is.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::span<const std::byte> bytes)
      : size_(bytes.size()), data_(static_cast<std::byte*>(::operator new (bytes.size() + 1, std::align_val_t{64}))) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  }
  ~AlignedBytes() { ::operator delete (data_, std::align_val_t{64}); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;

  std::span<std::byte> bytes() { return {data_, size_}; }
  EngineHeader& header() { return *reinterpret_cast<EngineHeader*>(data_); }
  SectionEntry& section(SectionKind kind) {
    for (SectionEntry& entry : header().sections) {
      if (entry.kind == static_cast<uint32_t>(kind)) return entry;
    }
    throw std::logic_error("no such section");
  }
  /// Makes all digests right again after a change, so that only the change itself can be found.
  void seal_all() {
    EngineHeader& head = header();
    const auto inside = [&](const SectionEntry& entry) {
      return entry.offset <= size_ && entry.bytes <= size_ - entry.offset;
    };
    std::vector<Digest> slabs;
    for (uint32_t i = 0; i < head.section_count && i < max_sections; ++i) {
      SectionEntry& entry = head.sections[i];
      if (!inside(entry)) continue;
      const std::span<std::byte> section = bytes().subspan(entry.offset, entry.bytes);
      if (entry.kind == static_cast<uint32_t>(SectionKind::weights)) {
        SlabDigester digester;
        digester.update(section);
        slabs = digester.finish();
        entry.digest = digest_of(std::as_bytes(std::span(slabs)));
        continue;
      }
      if (entry.kind == static_cast<uint32_t>(SectionKind::weight_digests)) {
        const auto table = std::as_bytes(std::span(slabs));
        if (table.size() == section.size()) std::ranges::copy(table, section.begin());
      }
      entry.digest = digest_of(section);
    }
    if (head.section_count <= max_sections) seal(head);
  }

 private:
  size_t size_;
  std::byte* data_;
};

}  // namespace incipit
