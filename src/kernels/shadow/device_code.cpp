#include "kernels/shadow/device_code.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "base/error.h"

namespace incipit {

std::string write_device_code(const std::set<DeviceFunction>& functions) {
  std::string code;
  for (const DeviceFunction& function : functions) code += fmt::format("{} {}\n", function.name, function.abi);
  return code;
}

std::set<DeviceFunction> read_device_code(std::span<const std::byte> code) {
  std::set<DeviceFunction> functions;
  std::string_view rest(reinterpret_cast<const char*>(code.data()), code.size());
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const size_t space = line.find(' ');
    DeviceFunction function{std::string(line.substr(0, space)), 0};
    const std::string_view number = space == line.npos ? std::string_view() : line.substr(space + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), function.abi);
    if (line.size() == rest.size() || error != std::errc() || end != number.data() + number.size()) {
      throw Error("device code", fmt::format("'{}' is no function with its ABI", line),
                  "build the engine again with this incipit");
    }
    functions.insert(std::move(function));
    rest.remove_prefix(line.size() + 1);
  }
  return functions;
}

}  // namespace incipit
