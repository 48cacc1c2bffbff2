// Files that commands write: nothing of the user's is lost to them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::cli {

/// A file that a command is about to write.
struct OutputFile {
  std::filesystem::path path;
  std::string_view option;  // that names it: "--trace"
  std::string_view kind;    // what it will be, for messages: "trace"
  /// Whether a file with this beginning (its first 4 kB) was written by the same command, and may be replaced. Null
  /// where the command itself judges what is there.
  bool (*is_ours)(std::string_view beginning) = nullptr;
};

/// Throws Error naming the file unless it may be written, or what it leads to where it is a link: its directory is
/// there, it is none of what the command reads (by whatever links; empty paths are ignored), and it is absent, empty or
/// ours.
void check_output(const OutputFile& output, const std::vector<std::filesystem::path>& inputs);

}  // namespace incipit::cli
