// A file that a command writes over another, and may have to take back.
#pragma once

#include <filesystem>
#include <optional>

#include "cli/certify.h"

namespace incipit::cli {

/// Keeps what a file is until this goes, where its directory and file system allow that.
class ReplacedFile {
 public:
  explicit ReplacedFile(const std::filesystem::path& path);
  /// What was there is there again; where nothing was, nothing is.
  void put_back() const;

 private:
  std::filesystem::path path_;
  std::optional<FolderBeside> folder_;  // with a second name of the old file; none: there was none
};

}  // namespace incipit::cli
