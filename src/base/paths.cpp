#include "base/paths.h"

#include <string>
#include <system_error>

#include "base/error.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;

/// What is at the end of the links; nothing there is an answer and no error.
fs::file_status look_at(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {
    throw Error(path.string(), "cannot be looked at: " + error.message(), "check the path and its permissions");
  }
  if (status.type() != fs::file_type::not_found) return status;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return status;
  throw Error(path.string(), "is a link to " + fs::read_symlink(path, error).string() + ", which does not exist",
              "mend the link, or fetch what it should lead to");
}

}  // namespace

bool is_there(const fs::path& path) { return fs::exists(look_at(path)); }

bool is_a_directory(const fs::path& path) { return fs::is_directory(look_at(path)); }

fs::path behind_links(const fs::path& path) {
  constexpr int most_links = 40;  // the system's own bound
  fs::path place = path;
  std::error_code error;
  for (int i = 0; i < most_links; ++i) {
    if (!fs::is_symlink(fs::symlink_status(place, error))) return place;
    place = place.parent_path() / fs::read_symlink(place, error);  // an absolute one stands alone
  }
  throw Error(path.string(), "is a link that leads in a circle", "mend the link");
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  const fs::path one = fs::weakly_canonical(behind_links(a), error);
  if (error) return false;
  return one == fs::weakly_canonical(behind_links(b), error) && !error;
}

}  // namespace incipit
