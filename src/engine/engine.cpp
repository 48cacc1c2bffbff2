#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/file.h"
#include "base/paths.h"
#include "engine/check_plan.h"
#include "engine/header.h"
#include "engine/plan_items.h"
#include "engine/trailer.h"

namespace incipit {
namespace {

constexpr std::string_view rebuild = "build the engine again, or copy it again from where it was sound";

std::string_view known_section(uint32_t kind) {
  switch (static_cast<SectionKind>(kind)) {
    case SectionKind::plan: return "plan";
    case SectionKind::manifest: return "manifest";
    case SectionKind::tokenizer: return "tokenizer";
    case SectionKind::chat_template: return "chat template";
    case SectionKind::generation: return "generation defaults";
    case SectionKind::weights: return "weights";
    case SectionKind::weight_digests: return "table of weight digests";
    case SectionKind::device_code: return "device code";
    case SectionKind::golden: return "golden results";
    case SectionKind::certificate: return "certificate";
  }
  return {};
}

/// Whether a step asks for device code.
bool asks_for_code(const plan::Step* step) {
  if (step == nullptr) return false;
  const auto uses = items(step->kernels());
  return std::any_of(uses.begin(), uses.end(),
                     [](const plan::KernelUse* use) { return !text(use->function()).empty(); });
}

bool asks_for_code(const plan::Plan& plan) {
  const auto steps = items(plan.steps());
  return asks_for_code(plan.resolve_tokens()) || asks_for_code(plan.sample()) ||
         std::any_of(steps.begin(), steps.end(), [](const plan::Step* step) { return asks_for_code(step); });
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

void check_target(const Target& needs, const Target& machine, std::string_view name) {
  if (machine.includes(needs)) return;
  if (needs.backend == Backend::cuda && machine.backend == Backend::cuda && machine.architecture == 0) {
    throw Error(
        name,
        fmt::format("is for the target {}, and this machine has no GPU for it: {}", to_string(needs), cuda::fault()),
        "run it where there is one, or build it with --target native");
  }
  const std::string remedy = fmt::format("build it with --target {} (or {}, on this machine)", best_name(machine),
                                         machine.backend == Backend::cuda ? "cuda" : "native");
  if (needs.backend != Backend::cpu || machine.backend != needs.backend) {
    throw Error(name, fmt::format("is for the target {}, which this machine is not", to_string(needs)), remedy);
  }
  const CpuFeatures lacking{needs.features.bits & ~machine.features.bits};
  throw Error(name, fmt::format("needs the processor features {}, which this machine lacks", to_string(lacking)),
              remedy);
}

}  // namespace

struct Engine::State {
  std::filesystem::path path;
  std::string name;  // in messages
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> bytes;
  EngineHeader header;
  std::vector<TrailerRecord> trailer;
  const plan::Plan* plan = nullptr;

  /// The first section of a kind.
  const SectionEntry* find(uint32_t kind) const {
    for (uint32_t i = 0; i < header.section_count; ++i) {
      if (header.sections[i].kind == kind) return &header.sections[i];
    }
    return nullptr;
  }
  std::span<const std::byte> section(SectionKind kind) const {
    const SectionEntry* entry = find(static_cast<uint32_t>(kind));
    return entry == nullptr ? std::span<const std::byte>() : bytes.subspan(entry->offset, entry->bytes);
  }
  std::string_view text(SectionKind kind) const {
    const auto found = section(kind);
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }

  void open(const OpenOptions& options) {
    read_header();
    check_sections();
    // What is checked now is followed later: it must not change when somebody writes into the file. Weights are
    // numbers.
    if (file) file->keep_from(weights().offset + weights().bytes);
    check_digests();
    plan = &read_plan(section(SectionKind::plan), name);
    const auto weights = section(SectionKind::weights);
    const auto weights_begin = static_cast<uint64_t>(weights.data() - bytes.data());
    check_plan(*plan, weights_begin, weights_begin + weights.size(), name);
    if (asks_for_code(*plan) && section(SectionKind::device_code).empty()) {
      inconsistent("its plan names functions, and it has no device code");
    }
    trailer = read_trailer(bytes, header.body_bytes, header.body_digest, name);
    const Target needs = target_of(header);
    if (options.check_target) check_target(needs, options.machine.value_or(this_machine(needs.backend)), name);
  }

  /// Magic, version, digest and length, in this order: each is only meaningful when those before it hold.
  void read_header() {
    if (bytes.empty()) throw Error(name, "is empty", rebuild);
    const size_t magic_bytes = std::min(bytes.size(), engine_magic.size());
    if (std::memcmp(bytes.data(), engine_magic.data(), magic_bytes) != 0) {
      throw Error(name, "is not an engine", "give a file that 'incipit build' has made");
    }
    const size_t version_end = offsetof(EngineHeader, version) + sizeof header.version;
    if (bytes.size() >= version_end) {
      std::memcpy(&header.version, bytes.data() + offsetof(EngineHeader, version), sizeof header.version);
      check_version();
    }
    if (bytes.size() < engine_page) {
      throw Error(name,
                  fmt::format("is truncated: {} bytes are there, the header alone has {}", bytes.size(), engine_page),
                  rebuild);
    }
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.header_digest != header_digest_of(header)) throw Error(name, "its header was altered", rebuild);
    if (!all_zero(bytes.first(engine_page).subspan(sizeof header))) {
      throw Error(name, "its header page was altered", rebuild);
    }
    if (bytes.size() < header.body_bytes) {
      throw Error(name,
                  fmt::format("is truncated: {} bytes are there, {} are expected", bytes.size(), header.body_bytes),
                  rebuild);
    }
    if (!knows_target(header)) {
      throw Error(name, "is for a device or processor features that this incipit does not know", "use a newer incipit");
    }
  }

  void check_version() const {
    if (header.version > engine_version) {
      throw Error(name,
                  fmt::format("has format version {}, this incipit reads up to {}", header.version, engine_version),
                  "use a newer incipit, or build the engine again with this one");
    }
    if (header.version < oldest_readable_engine_version) {
      throw Error(name,
                  fmt::format("has format version {}, this incipit reads {} and later", header.version,
                              oldest_readable_engine_version),
                  "build the engine again");
    }
  }

  [[noreturn]] void inconsistent(const std::string& fault) const {
    throw Error(name, "its header is inconsistent: " + fault, "build the engine again");
  }

  /// Sections follow one another from the end of the header page to the end of the body, with zeros between them.
  void check_sections() const {
    if (header.section_count == 0 || header.section_count > max_sections) {
      inconsistent(fmt::format("it has {} sections", header.section_count));
    }
    if (header.body_digest != body_digest_of(header)) inconsistent("the body's digest is not that of its sections");
    uint64_t end = engine_page;
    for (uint32_t i = 0; i < header.section_count; ++i) {
      const SectionEntry& entry = header.sections[i];
      const std::string kind = section_name(entry.kind);
      if (known_section(entry.kind).empty() && (entry.flags & section_required) != 0) {
        throw Error(name, fmt::format("needs its {}", kind), "use a newer incipit");
      }
      if (find(entry.kind) != &entry) inconsistent(fmt::format("it has two sections '{}'", kind));
      const uint64_t begin = aligned(end, section_alignment);
      if (entry.offset != begin || begin > header.body_bytes || entry.bytes > header.body_bytes - begin) {
        inconsistent(fmt::format("section '{}' is {} bytes at {} of a body of {}", kind, entry.bytes, entry.offset,
                                 header.body_bytes));
      }
      check_gap(end, begin);
      end = begin + entry.bytes;
    }
    if (header.body_bytes != aligned(end, section_alignment)) {
      inconsistent(fmt::format("its sections end at {} of a body of {}", end, header.body_bytes));
    }
    check_gap(end, header.body_bytes);
    for (SectionKind kind :
         {SectionKind::plan, SectionKind::manifest, SectionKind::weights, SectionKind::weight_digests}) {
      if (find(static_cast<uint32_t>(kind)) == nullptr) {
        inconsistent(fmt::format("it has no section '{}'", section_name(static_cast<uint32_t>(kind))));
      }
    }
    if (header.sections[0].kind != static_cast<uint32_t>(SectionKind::weights)) {
      inconsistent("the weights are not the first section");
    }
  }

  const SectionEntry& weights() const { return header.sections[0]; }

  /// What the weights' digest stands for.
  void check_slab_digests() const {
    const auto table = section(SectionKind::weight_digests);
    if (table.size() != slab_count(weights().bytes) * sizeof(Digest) || digest_of(table) != weights().digest) {
      inconsistent("its weight digests are not those of its weights");
    }
  }

  void check_slab(uint64_t slab) const {
    INCIPIT_ASSERT(slab < slab_count(weights().bytes));
    const uint64_t begin = slab * weight_slab;
    const uint64_t size = std::min(weight_slab, weights().bytes - begin);
    Digest expected;
    std::memcpy(&expected, section(SectionKind::weight_digests).data() + slab * sizeof(Digest), sizeof expected);
    if (digest_of(section(SectionKind::weights).subspan(begin, size)) == expected) return;
    const uint64_t offset = weights().offset + begin;
    throw Error(name,
                fmt::format("its weights were altered, at bytes {} to {}: results are not to be trusted", offset,
                            offset + size),
                rebuild);
  }

  void check_gap(uint64_t begin, uint64_t end) const {
    if (!all_zero(bytes.subspan(begin, end - begin))) {
      throw Error(name, fmt::format("was altered between its sections, at bytes {} to {}", begin, end), rebuild);
    }
  }

  void check_digests() const {
    for (uint32_t i = 0; i < header.section_count; ++i) {
      const SectionEntry& entry = header.sections[i];
      if (entry.kind == static_cast<uint32_t>(SectionKind::weights)) continue;  // check_slab()
      check_digest(entry);
    }
    check_slab_digests();
  }

  void check_digest(const SectionEntry& entry) const {
    if (digest_of(bytes.subspan(entry.offset, entry.bytes)) != entry.digest) {
      throw Error(name, fmt::format("its {} was altered", section_name(entry.kind)), rebuild);
    }
  }
};

std::string section_name(uint32_t kind) {
  const std::string_view known = known_section(kind);
  return known.empty() ? fmt::format("section of the unknown kind {}", kind) : std::string(known);
}

Engine::Engine() : state_(std::make_unique<State>()) {}
Engine::~Engine() = default;

std::shared_ptr<const Engine> Engine::open(const std::filesystem::path& path, const OpenOptions& options) {
  if (is_a_directory(path)) {
    throw Error(
        path.string(), "is a directory, and no engine",
        fmt::format("if it holds a model, make an engine of it: incipit build {} -o NAME.engine", path.string()));
  }
  std::shared_ptr<Engine> engine(new Engine);
  engine->state_->path = path;
  engine->state_->name = path.string();
  engine->state_->file = MappedFile::open(path);
  engine->state_->bytes = engine->state_->file->bytes();
  engine->state_->open(options);
  return engine;
}

std::shared_ptr<const Engine> Engine::from_bytes(std::span<const std::byte> bytes, std::string_view name,
                                                 const OpenOptions& options) {
  INCIPIT_ASSERT(reinterpret_cast<uintptr_t>(bytes.data()) % section_alignment == 0);
  std::shared_ptr<Engine> engine(new Engine);
  engine->state_->path = name;
  engine->state_->name = name;
  engine->state_->bytes = bytes;
  engine->state_->open(options);
  return engine;
}

const std::filesystem::path& Engine::path() const { return state_->path; }
const EngineHeader& Engine::header() const { return state_->header; }
Digest Engine::body_digest() const { return state_->header.body_digest; }
Target Engine::target() const { return target_of(state_->header); }
const plan::Plan& Engine::plan() const { return *state_->plan; }
std::string_view Engine::manifest() const { return state_->text(SectionKind::manifest); }
std::string_view Engine::chat_template() const { return state_->text(SectionKind::chat_template); }
std::string_view Engine::generation_defaults() const { return state_->text(SectionKind::generation); }
std::span<const std::byte> Engine::tokenizer() const { return state_->section(SectionKind::tokenizer); }
std::span<const std::byte> Engine::weights() const { return state_->section(SectionKind::weights); }
std::span<const std::byte> Engine::section(SectionKind kind) const { return state_->section(kind); }
std::span<const std::byte> Engine::body() const { return state_->bytes.first(state_->header.body_bytes); }
const std::vector<TrailerRecord>& Engine::trailer() const { return state_->trailer; }
uint64_t Engine::weight_slabs() const { return slab_count(state_->weights().bytes); }
void Engine::check_weight_slab(uint64_t slab) const { state_->check_slab(slab); }
void Engine::check_weights() const {
  for (uint64_t slab = 0; slab < weight_slabs(); ++slab) check_weight_slab(slab);
}

}  // namespace incipit
