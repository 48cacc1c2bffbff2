// A fuzzer's main without libFuzzer: runs what lies in a corpus, then mutations of it. There is no coverage to be
// guided by, and no chance: every run is the same. The input that ends it is left in a file.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int mutations = 4'000;
using Bytes = std::vector<uint8_t>;

/// In memory of its own size, so that AddressSanitizer sees a read past its end; `kept` is a file that holds the same.
void run(const Bytes& input, int kept) {
  if (::pwrite(kept, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size()) ||
      ::ftruncate(kept, static_cast<off_t>(input.size())) != 0) {
    std::perror("the file for inputs cannot be written");
    std::exit(1);
  }
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

size_t below(std::mt19937& random, size_t bound) { return bound == 0 ? 0 : random() % bound; }

/// One to four edits: a bit, a byte, a piece of another input, a piece twice, a piece less, or an early end.
Bytes mutated(const std::vector<Bytes>& corpus, std::mt19937& random) {
  Bytes bytes = corpus[below(random, corpus.size())];
  for (size_t edit = 0, edits = 1 + below(random, 4); edit < edits; ++edit) {
    const size_t at = below(random, bytes.size()), length = below(random, std::min<size_t>(bytes.size() - at, 32) + 1);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at),
               end = begin + static_cast<std::ptrdiff_t>(length);
    const Bytes& other = corpus[below(random, corpus.size())];
    const size_t from = below(random, other.size()),
                 taken = below(random, std::min<size_t>(other.size() - from, 32) + 1);
    const auto piece = other.begin() + static_cast<std::ptrdiff_t>(from);
    switch (random() % 6) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<uint8_t>(1u << (random() % 8));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<uint8_t>(random());
        break;
      case 2: bytes.insert(begin, piece, piece + static_cast<std::ptrdiff_t>(taken)); break;
      case 3: {
        const Bytes twice(begin, end);
        bytes.insert(begin, twice.begin(), twice.end());
        break;
      }
      case 4: bytes.erase(begin, end); break;
      default:
        if (random() % 4 == 0) bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Bytes> corpus(1);  // nothing at all is an input too
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS FILE\n", argv[0]);
    return 2;
  }
  const int kept = ::open(argv[2], O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  for (const Bytes& input : corpus) run(input, kept);
  std::mt19937 random(1);
  for (int index = 0; index < mutations; ++index) run(mutated(corpus, random), kept);
  std::filesystem::remove(argv[2]);
  std::printf("%zu inputs and %d mutations\n", corpus.size(), mutations);
}
