// A store of engines on disk, which people can read:
//
//   STORE/store.json                {"format": 1}
//   STORE/objects/DIGEST.engine     engines, by the digests of their bodies; never written to once they are there
//   STORE/MODEL/VERSION.engine      a link to one of them
//   STORE/MODEL/state.json          the model's versions and their states; replaced whole: that is what makes a change
//   STORE/MODEL/audit.jsonl         a line for each change, ever
//
// Who changes a store holds its lock. state.json carries the record of its last change, so that the next writer adds
// the line that a killed one has not written any more.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "store/versions.h"

namespace incipit {

class Store {
 public:
  /// Throws Error where there is no store.
  static Store open(const std::filesystem::path& path);
  /// The same, but makes one of a directory that is absent or empty.
  static Store open_or_create(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  // ---- reading, which waits for nobody
  /// Models by name.
  std::vector<std::string> models() const;
  /// Throws Error for an unknown model, and for a state that is damaged.
  ModelVersions read(const std::string& model) const;
  std::vector<AuditRecord> history(const std::string& model) const;
  /// Changes with every change of the model; 0 where the model is not there.
  uint64_t stamp(const std::string& model) const;
  std::filesystem::path engine_of(const StoredVersion& version) const;
  /// Throws Error for a version whose engine is not there or cannot be opened; its weights are not looked at.
  void check_file(const std::string& model, int64_t version) const;

  // ---- changing
  using Rule = std::function<AuditRecord(const ModelVersions& now)>;
  /// Applies what the rule says of the model as it is now, and gives the record as it was kept; keeps nothing where
  /// that changes nothing. Throws what the rule throws, and Error when another program changes the store for longer
  /// than some seconds.
  AuditRecord change(const std::string& model, std::string_view actor, const Rule& rule) const;
  /// Copies an engine into the store, checks all of it there, and stages it as a new version of a model, which is made
  /// where it is not there. Where the engine is a version already whose file is damaged, the file is mended, and the
  /// record has no number. Throws Error as Engine::open does.
  AuditRecord add(const std::string& model, const std::filesystem::path& engine, std::string_view tag,
                  std::string_view actor) const;

  struct Collected {
    std::string model;
    int64_t version = 0;
    int64_t bytes = 0;  // of its engine
  };
  /// Removes the engines of versions that have ended (retired, rejected, rolled back), and what killed programs have
  /// left. What a server has mapped of them stays until it lets go.
  std::vector<Collected> collect(std::string_view actor) const;

 private:
  class Lock;

  explicit Store(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path model_path(const std::string& model) const { return path_ / model; }
  std::filesystem::path object_path(std::string_view digest) const;
  void finish_audit(const std::string& model, const ModelVersions& now) const;
  AuditRecord keep(const std::string& model, std::string_view actor, const Rule& rule) const;
  void link(const std::string& model, const AuditRecord& record) const;
  void remove_unused_objects() const;
  static bool is_sound(const std::filesystem::path& engine);

  std::filesystem::path path_;
};

/// "alice@host": who runs this program, for audits.
std::string current_actor();

}  // namespace incipit
