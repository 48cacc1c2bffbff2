#include "base/keyed_digest.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace incipit {
namespace {

// Vectors of the authors' reference implementation (vectors.h, vectors_sip64): key 00 01 … 0f, inputs of the bytes
// 00 01 …, of so many.
TEST(KeyedDigest, AgreesWithItsAuthors) {
  DigestKey key;
  std::iota(key.bytes.begin(), key.bytes.end(), uint8_t{0});
  std::vector<std::byte> bytes;
  const auto digest_of_first = [&](size_t count) {
    bytes.clear();
    for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(i));
    return keyed_digest(key, bytes);
  };
  EXPECT_EQ(digest_of_first(0), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(digest_of_first(1), 0x74f839c593dc67fdu);
  EXPECT_EQ(digest_of_first(7), 0xab0200f58b01d137u);
  EXPECT_EQ(digest_of_first(8), 0x93f5f5799a932462u);
  EXPECT_EQ(digest_of_first(15), 0xa129ca6149be45e5u);
}

TEST(KeyedDigest, DependsOnAKeyThatIsDrawnAnew) {
  const DigestKey one = DigestKey::random(), other = DigestKey::random();
  EXPECT_NE(one.bytes, other.bytes);
  EXPECT_NE(keyed_digest(one, {}), keyed_digest(other, {}));
}

}  // namespace
}  // namespace incipit
