// Questions about paths that are answered in one line, where std::filesystem throws its own errors or says a plain no.
#pragma once

#include <filesystem>

namespace incipit {

/// Whether something is there. Throws Error naming the path for a link that leads nowhere, and where the system does
/// not let us look.
bool is_there(const std::filesystem::path& path);
/// The same for a directory.
bool is_a_directory(const std::filesystem::path& path);

/// Where a file of this name would be written: what the links lead to that the path may be, there or not. Throws Error
/// naming the path for links that lead in a circle.
std::filesystem::path behind_links(const std::filesystem::path& path);

/// Whether both name one file, by whatever links; also where neither exists yet.
bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace incipit
