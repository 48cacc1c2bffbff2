// Any bytes as a safetensors file: refused with an Error, or every tensor lies within them.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/safetensors.h"
#include "import/hf/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace incipit;
  try {
    const SafetensorsFile file =
        SafetensorsFile::parse("fuzz.safetensors", std::as_bytes(std::span(data, size)), nullptr);
    for (const std::string& name : file.names()) {
      try {
        const Tensor tensor = file.load(name);
        INCIPIT_ASSERT(tensor.bytes() <= size);
        constant_of(file, name)->digest();
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
