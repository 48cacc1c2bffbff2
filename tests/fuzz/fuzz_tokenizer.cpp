// tokenizer.json as foreign bytes: refused with an Error, or a tokenizer that works on any text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "fuzz/tokenizer_fuzzing.h"
#include "tokenizer_compile/compile_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  try {
    // The document itself is a text in which its own tokens occur.
    incipit::use_tokenizer(incipit::compile_tokenizer_json(json, "tokenizer.json"), json.substr(0, 2000));
  } catch (const incipit::Error&) {
  }
  return 0;
}
