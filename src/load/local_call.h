// One request to a server at a UNIX socket, and its answer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace incipit {

struct LocalAnswer {
  int status = 0;
  std::string body;
};

/// POSTs JSON and waits for the answer, however long it takes. Nothing where nobody listens there. `key`: of the API;
/// empty: none. Throws Error naming the socket for what goes wrong behind that.
std::optional<LocalAnswer> call_local(const std::filesystem::path& socket, std::string_view target,
                                      std::string_view json, std::string_view key = {});

}  // namespace incipit
