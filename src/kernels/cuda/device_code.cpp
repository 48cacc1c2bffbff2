#include "kernels/cuda/device_code.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/error.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

constexpr std::string_view magic = "cuda ";
constexpr size_t binary_alignment = 64;

size_t aligned_binary(size_t offset) {
  return static_cast<size_t>(round_up(static_cast<int64_t>(offset), binary_alignment));
}

[[noreturn]] void refuse(std::string_view line) {
  throw Error("device code", fmt::format("'{}' is no function of a GPU", line),
              "build the engine again with this incipit");
}

/// Takes "NAME=NUMBER" off the front of `rest`, with what lies between it and the next.
size_t take_number(std::string_view& rest, std::string_view name, std::string_view line) {
  size_t number = 0;
  if (!rest.starts_with(name)) refuse(line);
  rest.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc()) refuse(line);
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  return number;
}

}  // namespace

std::string cuda_architecture(const Target& target) {
  return fmt::format("sm_{}{}", target.architecture, target.architecture == 90 ? "a" : "");
}

std::vector<std::byte> write_cuda_code(const CudaCode& code) {
  std::string table = fmt::format("{}{}\n", magic, cuda_architecture(code.target));
  for (const CudaBinary& binary : code.functions) {
    table += fmt::format("{} | abi={} cubin={} ptx={}\n", binary.function.name, binary.function.abi,
                         binary.cubin.size(), binary.ptx.size());
  }
  table += "\n";
  std::vector<std::byte> bytes;
  const auto append = [&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); };
  append(std::as_bytes(std::span(table)));
  for (const CudaBinary& binary : code.functions) {
    for (const std::span<const std::byte> part : {binary.cubin, binary.ptx}) {
      bytes.resize(aligned_binary(bytes.size()));
      append(part);
    }
  }
  return bytes;
}

CudaCode read_cuda_code(std::span<const std::byte> bytes) {
  CudaCode code;
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto next_line = [&] {
    const size_t end = rest.find('\n');
    if (end == rest.npos) refuse(rest.substr(0, 100));
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
  };
  const std::string_view first = next_line();
  std::string_view named = first;
  code.target = Target(Backend::cuda, static_cast<uint16_t>(take_number(named, std::string(magic) + "sm_", first)));
  if (first.substr(magic.size()) != cuda_architecture(code.target)) refuse(first);
  std::vector<std::pair<size_t, size_t>> sizes;
  for (std::string_view line = next_line(); !line.empty(); line = next_line()) {
    const size_t bar = line.find(" | ");
    if (bar == line.npos) refuse(line);
    std::string_view numbers = line.substr(bar + 3);
    CudaBinary& binary = code.functions.emplace_back();
    binary.function.name = line.substr(0, bar);
    binary.function.abi = static_cast<uint32_t>(take_number(numbers, "abi=", line));
    const size_t cubin = take_number(numbers, " cubin=", line);
    sizes.emplace_back(cubin, take_number(numbers, " ptx=", line));
    if (!numbers.empty()) refuse(line);
  }
  size_t offset = bytes.size() - rest.size();
  const auto take = [&](size_t size, std::string_view name) {
    offset = aligned_binary(offset);
    if (offset > bytes.size() || size > bytes.size() - offset) refuse(name);
    offset += size;
    return bytes.subspan(offset - size, size);
  };
  for (size_t i = 0; i < sizes.size(); ++i) {
    CudaBinary& binary = code.functions[i];
    binary.cubin = take(sizes[i].first, binary.function.name);
    binary.ptx = take(sizes[i].second, binary.function.name);
    if (!binary.ptx.empty() && binary.ptx.back() != std::byte{0}) refuse(binary.function.name);
  }
  return code;
}

}  // namespace incipit
