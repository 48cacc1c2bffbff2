// Builds that are held against their model in f32 before they get their name.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "compile/compile.h"
#include "graph/model.h"
#include "measure/certificate.h"

namespace incipit::cli {

/// A folder beside an output, which goes with what is left in it. What a killed program has left of the same output
/// goes when the next one comes; who lives holds a lock.
class FolderBeside {
 public:
  /// Throws Error naming the output where there can be none.
  explicit FolderBeside(const std::filesystem::path& output);
  ~FolderBeside();
  FolderBeside(const FolderBeside&) = delete;
  FolderBeside& operator=(const FolderBeside&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  /// Gives a file of the folder the output's name.
  void publish(const std::filesystem::path& file) const;

 private:
  void remove_abandoned(const std::string& beginning) const;
  std::filesystem::path output_, path_;
  int descriptor_ = -1;  // of the folder, locked
};

struct CertifyOptions {
  AccuracyBound bound;
  std::filesystem::path path;  // of the text
  std::string text;
  int32_t window = 512;  // tokens, or as many as the engine's context holds
};

/// Compares the engine with one of the same model in f32, which `make_model` gives and which is made in the folder, and
/// keeps the certificate in its trailer. `output`: what messages call the engine. Throws Error with the figures where
/// the bound does not hold.
void certify(const std::filesystem::path& engine, const std::filesystem::path& output, const FolderBeside& folder,
             const std::function<Model()>& make_model, const CompileOptions& compiled, const CertifyOptions& options,
             Progress& progress);

}  // namespace incipit::cli
