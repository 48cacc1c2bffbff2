// Compiled tables as foreign bytes: refused with an Error, or read without leaving them.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace {

std::vector<std::byte> compile(const std::string& name) {
  std::ifstream file(INCIPIT_SOURCE_DIR "/tests/fuzz/corpus/tokenizer/" + name);
  const std::string json((std::istreambuf_iterator<char>(file)), {});
  return incipit::compile_tokenizer_json(json, name);
}

/// Good tables to damage: of bytes, or of characters.
const std::vector<std::byte>& good_tables(bool of_characters) {
  static const std::vector<std::byte> bytes = compile("components.json"), characters = compile("metaspace.json");
  return of_characters ? characters : bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto tables = std::make_shared<std::vector<std::byte>>();
  if (data[0] % 3 == 0) {  // the tables themselves
    tables->resize(size - 1);
    if (size > 1) std::memcpy(tables->data(), data + 1, size - 1);
  } else {  // a list of (16-bit place, new byte) in good ones
    *tables = good_tables(data[0] % 3 == 2);
    for (size_t i = 1; i + 3 <= size; i += 3) {
      (*tables)[(data[i] | data[i + 1] << 8) % tables->size()] = std::byte{data[i + 2]};
    }
  }
  tables->shrink_to_fit();  // so that every read beyond their end is seen
  try {
    const auto tokenizer = incipit::Tokenizer::open(*tables, tables);
    const std::vector<int32_t> ids =
        tokenizer->encode("a ha  <s>don caf\xc3\xa9\xcc\x81 <r> \xff 12 he" + std::string(99, 'a'));
    for (const int32_t id : ids) {
      if (static_cast<size_t>(id) >= tokenizer->vocab_size()) __builtin_trap();
    }
    tokenizer->decode(ids, false);
    tokenizer->id_of("<s>");
  } catch (const incipit::Error&) {
  }
  return 0;
}
