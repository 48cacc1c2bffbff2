#include "cli/replaced_file.h"

#include <system_error>

#include "base/error.h"

namespace incipit::cli {
namespace {

constexpr std::string_view kept_name = "replaced";

}  // namespace

ReplacedFile::ReplacedFile(const std::filesystem::path& path) {
  std::error_code none;
  path_ = std::filesystem::weakly_canonical(path, none);  // a link stays: what it leads to is written
  if (none) path_ = path;
  if (!std::filesystem::is_regular_file(path_, none)) return;
  try {
    folder_.emplace(path_);
  } catch (const Error&) {
    return;  // whoever writes the file says what is wrong there
  }
  std::filesystem::create_hard_link(path_, *folder_ / kept_name, none);
  if (none) folder_.reset();
}

void ReplacedFile::put_back() const {
  std::error_code stays;
  if (folder_) {
    std::filesystem::rename(*folder_ / kept_name, path_, stays);
  } else {
    std::filesystem::remove(path_, stays);
  }
}

}  // namespace incipit::cli
