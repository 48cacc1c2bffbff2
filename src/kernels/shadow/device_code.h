// The shadow device's code: a text with a line for each function that its launches may name, as in
//
//   attention/shadow 1
//   linear/shadow 1
//
// that is, a kernel and its ABI. A section of the engine, whose digest is checked as any other's, where an accelerator
// has its binaries.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>

#include "kernels/device_function.h"

namespace incipit {

std::string write_device_code(const std::set<DeviceFunction>& functions);
/// Throws Error naming the line that is none.
std::set<DeviceFunction> read_device_code(std::span<const std::byte> code);

}  // namespace incipit
