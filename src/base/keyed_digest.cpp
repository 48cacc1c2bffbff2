#include "base/keyed_digest.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace incipit {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie");

uint64_t word_at(const void* from) {
  uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

struct SipState {
  uint64_t a, b, c, d;

  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void take(uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

}  // namespace

DigestKey DigestKey::random() {
  DigestKey key;
  ssize_t count = 0;
  do {
    count = ::getrandom(key.bytes.data(), key.bytes.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count != static_cast<ssize_t>(key.bytes.size())) throw Error("the system", "gives no random bytes");
  return key;
}

uint64_t keyed_digest(const DigestKey& key, std::span<const std::byte> bytes) {
  const uint64_t low = word_at(key.bytes.data()), high = word_at(key.bytes.data() + 8);
  SipState state{low ^ 0x736f6d6570736575u, high ^ 0x646f72616e646f6du, low ^ 0x6c7967656e657261u,
                 high ^ 0x7465646279746573u};
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) state.take(word_at(bytes.data() + at));
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t at = whole; at < bytes.size(); ++at) {
    last |= static_cast<uint64_t>(bytes[at]) << (8 * (at - whole));
  }
  state.take(last);
  state.c ^= 0xff;
  for (int round = 0; round < 4; ++round) state.round();
  return state.a ^ state.b ^ state.c ^ state.d;
}

}  // namespace incipit
