// tokenizer.json as foreign bytes: refused with an Error, or a tokenizer that works on any text.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/compile_tokenizer.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  try {
    const auto tables =
        std::make_shared<const std::vector<std::byte>>(incipit::compile_tokenizer_json(json, "tokenizer.json"));
    const auto tokenizer = incipit::Tokenizer::open(*tables, tables);
    // The document itself is a text in which its own tokens occur.
    for (const std::string_view text :
         {std::string_view("The  cafe\xcc\x81 <s>don't\r\n 1234 \xe6\x97\xa5\xf0\x9f\x98\x80 \xff\xe2\x82 aaaaaaaa"),
          json.substr(0, 2000)}) {
      const std::vector<int32_t> ids = tokenizer->encode(text);
      incipit::StreamingDetokenizer detokenizer(tokenizer);
      std::string streamed;
      for (const int32_t id : ids) streamed += detokenizer.push(id);
      streamed += detokenizer.flush();
      if (streamed != tokenizer->decode(ids)) __builtin_trap();
    }
  } catch (const incipit::Error&) {
  }
  return 0;
}
