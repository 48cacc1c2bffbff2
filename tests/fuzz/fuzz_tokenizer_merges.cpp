// vocab.json and merges.txt as foreign bytes, with a byte 0 between them: refused with an Error, or a tokenizer that
// works on any text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "fuzz/tokenizer_fuzzing.h"
#include "tokenizer_compile/compile_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view both(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(both.find('\0'), size);
  try {
    incipit::use_tokenizer(incipit::compile_merges(both.substr(0, end), both.substr(std::min(end + 1, size))),
                           both.substr(0, 2000));
  } catch (const incipit::Error&) {
  }
  return 0;
}
