#include "cli/outputs.h"

#include <fmt/format.h>

#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/paths.h"

namespace incipit::cli {

void check_output(const OutputFile& output, const std::vector<std::filesystem::path>& inputs) {
  const std::string name = output.path.string();
  const std::string choose = fmt::format("choose another {}", output.option);
  if (name.empty()) throw Error(output.option, "the name is empty", fmt::format("name the {}", output.kind));
  if (name == "-") {
    throw Error(output.option, fmt::format("'-' would be standard output, which no {} is written to", output.kind),
                "name a file (one of this very name is ./-)");
  }
  for (const std::filesystem::path& input : inputs) {
    if (input.empty() || !is_same_file(output.path, input)) continue;
    const std::string same = name == input ? "" : fmt::format("the same file as {}, ", input.string());
    throw Error(name, fmt::format("is {}which this command reads", same.empty() ? "a file " : same), choose);
  }
  const std::filesystem::path real = behind_links(output.path), parent = real.parent_path();
  if (!parent.empty() && !is_a_directory(parent)) {
    const std::string link = real == output.path ? "" : fmt::format("is a link to {}, and ", real.string());
    throw Error(name, fmt::format("{}there is no directory {}", link, parent.string()),
                fmt::format("create it, or {}", choose));
  }
  if (!is_there(real)) return;
  if (is_a_directory(real)) throw Error(name, "is a directory", fmt::format("name a file with {}", output.option));
  std::error_code hidden;
  if (!std::filesystem::is_regular_file(real, hidden)) throw Error(name, "is no regular file", choose);
  if (output.is_ours == nullptr) return;
  const std::string beginning = beginning_of(real);
  if (beginning.empty()) {
    if (std::filesystem::file_size(real, hidden) == 0 && !hidden) return;
    throw Error(name, "exists and cannot be read", choose);
  }
  if (!output.is_ours(beginning)) {
    throw Error(name, fmt::format("exists and is no {}", output.kind), fmt::format("{}, or remove it first", choose));
  }
}

}  // namespace incipit::cli
