// Reading an .engine file.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "engine/format.h"

namespace incipit::plan {
struct Plan;
}

namespace incipit {

struct TrailerRecord {
  TrailerKind kind;
  std::string json;
};

/// A mapped engine. Opening checks everything but the weights' contents (WeightCheck does that behind the first token):
/// size, magic, version, header digest, section bounds, the digests of plan, manifest, tokenizer, template and
/// generation defaults, the FlatBuffers structure, every offset the plan names, and the trailer. Each fault is an Error
/// with its own message and remedy.
class Engine {
 public:
  struct OpenOptions {
    std::optional<Target> machine = {};  // refused when the engine needs more; none: this one
    bool check_target = true;            // false: only to inspect
  };
  static std::shared_ptr<const Engine> open(const std::filesystem::path& path, const OpenOptions& options);
  static std::shared_ptr<const Engine> open(const std::filesystem::path& path) { return open(path, OpenOptions{}); }
  /// The same over bytes in memory, 64-byte aligned, that outlive the Engine; `name` stands for the path in messages.
  /// For tests and fuzzers.
  static std::shared_ptr<const Engine> from_bytes(std::span<const std::byte> bytes, std::string_view name,
                                                  const OpenOptions& options);
  ~Engine();

  const std::filesystem::path& path() const;
  const EngineHeader& header() const;
  Digest body_digest() const;
  /// What its kernels need, and what kind of device runs it.
  Target target() const;
  const plan::Plan& plan() const;                // verified; include "engine/plan_generated.h" to read it
  std::string_view manifest() const;             // JSON
  std::string_view chat_template() const;        // Jinja source; may be empty
  std::string_view generation_defaults() const;  // JSON object
  std::span<const std::byte> tokenizer() const;  // compiled tables (text/); may be empty
  std::span<const std::byte> weights() const;    // the section, page aligned
  /// Any section by its kind; empty where there is none.
  std::span<const std::byte> section(SectionKind kind) const;
  /// The whole body, for offsets that the plan gives from the start of the file.
  std::span<const std::byte> body() const;
  const std::vector<TrailerRecord>& trailer() const;
  /// The weights are checked slab by slab: how many slabs there are.
  uint64_t weight_slabs() const;
  /// Reads a slab and compares its digest; throws Error when it was altered. Of any thread.
  void check_weight_slab(uint64_t slab) const;
  /// All slabs.
  void check_weights() const;

 private:
  Engine();
  struct State;
  std::unique_ptr<State> state_;
};

/// What a section is called in messages and by `inspect`: "plan", "device code"; "section of the unknown kind 99".
std::string section_name(uint32_t kind);

/// The plan as readable text, for `inspect --plan`.
std::string describe_plan(const plan::Plan& plan);

/// Appends one record to the trailer of an engine file, about the engine whose body has the digest `body`. The body is
/// not touched. Throws Error when the file cannot be written, and when its body is another one by now; a failed append
/// leaves the file as it was.
void append_trailer(const std::filesystem::path& path, const Digest& body, TrailerKind kind, std::string_view json);

}  // namespace incipit
