// What the fuzzers of tokenizers do with one that was accepted.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace incipit {

/// Encodes and decodes awkward texts, `own` among them; traps where streamed text is not the whole text.
inline void use_tokenizer(std::vector<std::byte> compiled, std::string_view own) {
  const auto tables = std::make_shared<const std::vector<std::byte>>(std::move(compiled));
  const auto tokenizer = Tokenizer::open(*tables, tables);
  for (const std::string_view text :
       {std::string_view("The  cafe\xcc\x81 <s>don't\r\n 1234 \xe6\x97\xa5\xf0\x9f\x98\x80 \xff\xe2\x82 aaaaaaaa"),
        std::string_view(" \xe2\x96\x81 ab  abc </s> x "), own}) {
    const std::vector<int32_t> ids = tokenizer->encode(text);
    for (const int32_t id : ids) {
      if (static_cast<size_t>(id) >= tokenizer->vocab_size()) __builtin_trap();
    }
    StreamingDetokenizer detokenizer(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) streamed += detokenizer.push(id);
    streamed += detokenizer.flush();
    if (streamed != tokenizer->decode(ids)) __builtin_trap();
  }
}

}  // namespace incipit
