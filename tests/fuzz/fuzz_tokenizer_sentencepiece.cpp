// A SentencePiece model as foreign bytes: refused with an Error, or a tokenizer that works on any text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "fuzz/tokenizer_fuzzing.h"
#include "tokenizer_compile/compile_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view model(reinterpret_cast<const char*>(data), size);
  try {
    incipit::use_tokenizer(incipit::compile_sentencepiece(model, "tokenizer.model"), model.substr(0, 2000));
  } catch (const incipit::Error&) {
  }
  return 0;
}
