#include "base/digest.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace incipit {
namespace {

// The buffer and the vectors of xxHash's own sanity check (tests/sanity_test.c, seed 0).
std::vector<std::byte> sanity_buffer(size_t size) {
  std::vector<std::byte> buffer(size);
  uint64_t generator = 2654435761u;
  for (std::byte& byte : buffer) {
    byte = static_cast<std::byte>(generator >> 56);
    generator *= 11400714785074694797u;
  }
  return buffer;
}

TEST(DigestTest, AgreesWithPublishedVectors) {
  const struct {
    size_t size;
    const char* hex;  // the canonical form: high half first
  } vectors[] = {{0, "99aa06d3014798d86001c324468d497f"},    {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
                 {6, "082afe0b8162d12a3e7039bdda43cfc6"},    {12, "6e3efd8fc7802b18061a192713f69ad9"},
                 {24, "0ce966e4678d37611e7044d28b1b901d"},   {48, "a002ac4e5478227ef942219aed80f67b"},
                 {81, "4952f58181ab00425e8bafb9f95fb803"},   {222, "337e09641b948717f1aebd597cec6b3a"},
                 {403, "1b6de21e332dd73dcdeb804d65c6dea4"},  {512, "18d2d110dcc9bca1617e49599013cb6b"},
                 {2048, "f736557fd47073a5dd59e2c3a5f038e0"}, {2240, "ccb134fbfa7ce49d6e73a90539cf2948"},
                 {2367, "e89c0f6ff369b427cb37aeb9e5d361ed"}};
  for (const auto& vector : vectors) {
    EXPECT_EQ(digest_of(sanity_buffer(vector.size)).hex(), vector.hex) << vector.size << " bytes";
  }
}

TEST(DigestTest, IncrementalEqualsWhole) {
  std::mt19937 random(7);
  for (size_t size : {0u, 1u, 240u, 241u, 1000u, 100000u}) {
    const std::vector<std::byte> buffer = sanity_buffer(size);
    Digester digester;
    for (size_t offset = 0; offset < size;) {
      const size_t step = std::min<size_t>(size - offset, random() % 700);
      digester.update(std::span(buffer).subspan(offset, step));
      offset += step;
    }
    EXPECT_EQ(digester.finish(), digest_of(buffer)) << size << " bytes";
    EXPECT_EQ(digester.finish(), digest_of(buffer)) << "finish() may be called again";
  }
}

TEST(DigestTest, OneBitMatters) {
  std::vector<std::byte> buffer = sanity_buffer(1000);
  const Digest before = digest_of(buffer);
  buffer[500] ^= std::byte{1};
  EXPECT_NE(digest_of(buffer), before);
}

}  // namespace
}  // namespace incipit
