// Compiled tables that are damaged are refused or harmless, and never read beyond.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "text/tokenizer_tables.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

using testing::HasSubstr;

std::vector<std::byte> small_tables() { return compile_tokenizer_json(small_tokenizer_json(), "tokenizer.json"); }

/// The same of SentencePiece's kind: normaliser steps, fallbacks, spellings.
std::vector<std::byte> character_tables() {
  return compile_tokenizer_json(read_text_file(source_path("tests/fuzz/corpus/tokenizer/metaspace.json")),
                                "tokenizer.json");
}

/// Opens and uses tables; true when they were accepted. The copy has exactly their size, so that a sanitizer sees
/// every read beyond it.
bool survives(const std::vector<std::byte>& tables) {
  try {
    const auto tokenizer = open_tables(std::vector<std::byte>(tables.begin(), tables.end()));
    const std::vector<int32_t> ids = tokenizer->encode("the the  <s>word aaaaaa café\u0301 <r>  \xff x12");
    for (const int32_t id : ids) EXPECT_LT(static_cast<size_t>(id), tokenizer->vocab_size());
    tokenizer->decode(ids, false);
    tokenizer->encode(std::string(200, 'a'));
    tokenizer->id_of("<s>");
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string tables_refusal(const std::vector<std::byte>& tables) {
  try {
    open_tables(tables);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerTables, SameSourceSameBytes) {
  EXPECT_EQ(small_tables(), small_tables());
  EXPECT_EQ(character_tables(), character_tables());
}

TEST(TokenizerTables, EveryTruncationIsRefused) {
  for (const std::vector<std::byte>& tables : {small_tables(), character_tables()}) {
    ASSERT_TRUE(survives(tables));
    for (size_t size = 0; size < tables.size(); size += size < 1024 ? 1 : 97) {
      EXPECT_FALSE(survives({tables.begin(), tables.begin() + static_cast<ptrdiff_t>(size)})) << size;
    }
  }
}

TEST(TokenizerTables, EveryFlippedByteIsRefusedOrHarmless) {
  for (const std::vector<std::byte>& tables : {small_tables(), character_tables()}) {
    for (size_t at = 0; at < tables.size(); ++at) {
      std::vector<std::byte> damaged = tables;
      damaged[at] ^= std::byte{static_cast<uint8_t>(at % 3 == 0 ? 0xff : 1 << at % 8)};
      survives(damaged);
    }
  }
}

TEST(TokenizerTables, RandomDamageIsRefusedOrHarmless) {
  for (const std::vector<std::byte>& tables : {small_tables(), character_tables()}) {
    std::mt19937 random(1);
    for (int i = 0; i < 3000; ++i) {
      std::vector<std::byte> damaged = tables;
      const size_t area = i % 2 == 0 ? sizeof(TokenizerTablesHeader) : damaged.size();
      for (int n = 0; n < 4; ++n) damaged[random() % area] = static_cast<std::byte>(random());
      survives(damaged);
    }
  }
}

TEST(TokenizerTables, RefusalsSayWhy) {
  const std::vector<std::byte> tables = small_tables();
  EXPECT_THAT(tables_refusal({}), HasSubstr("compiled tokenizer: it has only 0 bytes"));
  std::vector<std::byte> other = tables;
  other[0] = std::byte{'x'};
  EXPECT_THAT(tables_refusal(other), HasSubstr("it does not begin as one"));
  other = tables;
  other[8] = std::byte{99};
  EXPECT_THAT(tables_refusal(other), HasSubstr("its version is 99, this program reads 3; build the engine again"));
  other = tables;
  other.resize(other.size() - 8);
  EXPECT_THAT(tables_refusal(other), HasSubstr("bytes instead of"));
}

}  // namespace
}  // namespace incipit
