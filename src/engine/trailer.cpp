#include "engine/trailer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace incipit {
namespace {

std::string cut_remedy(uint64_t offset, std::string_view engine) {
  return fmt::format("drop what follows the sound part with: truncate -s {} {}", offset, engine);
}

/// An engine file, open and locked for appending.
class LockedFile {
 public:
  explicit LockedFile(const std::filesystem::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor_ < 0) fail("open for writing");
    while (::flock(descriptor_, LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      const int code = errno;
      ::close(descriptor_);
      errno = code;
      fail("lock");
    }
  }
  ~LockedFile() { ::close(descriptor_); }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  off_t size() const { return status().st_size; }

  /// False when a build has put another file in its place: what is appended now would be lost with this one.
  bool has_its_name() const {
    const struct stat mine = status();
    struct stat named {};
    return ::stat(path_.c_str(), &named) == 0 && named.st_dev == mine.st_dev && named.st_ino == mine.st_ino;
  }

  /// All or nothing: what a failed write or flush has left is cut off again.
  void append(std::span<const std::byte> bytes) const {
    const off_t end = size();
    ssize_t written = 0;
    do {
      written = ::pwrite(descriptor_, bytes.data(), bytes.size(), end);
    } while (written < 0 && errno == EINTR);
    int code = 0;
    if (written < 0) {
      code = errno;
    } else if (static_cast<size_t>(written) != bytes.size()) {
      code = ENOSPC;  // a short write to a regular file
    } else if (::fsync(descriptor_) != 0) {
      code = errno;
    }
    if (code == 0) return;
    if (::ftruncate(descriptor_, end) != 0) {
      throw Error(path_.string(),
                  fmt::format("cannot be written ({}), and a half-written record is left at byte {}",
                              std::generic_category().message(code), end),
                  cut_remedy(static_cast<uint64_t>(end), path_.string()));
    }
    errno = code;
    fail("append a record");
  }

 private:
  struct stat status() const {
    struct stat found {};
    if (::fstat(descriptor_, &found) != 0) fail("read its size");
    return found;
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(path_.string(), fmt::format("cannot {}: {}", what, std::generic_category().message(errno)),
                "check its permissions and the space left");
  }

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace

Digest record_digest(const TrailerHeader& header, std::span<const std::byte> payload) {
  Digester digester;
  digester.update(std::as_bytes(std::span(&header.kind, 1)));
  digester.update(std::as_bytes(std::span(&header.payload_bytes, 1)));
  digester.update(std::as_bytes(std::span(header.body_digest.bytes)));
  digester.update(payload);
  return digester.finish();
}

std::vector<TrailerRecord> read_trailer(std::span<const std::byte> file, uint64_t body_bytes, const Digest& body,
                                        std::string_view engine) {
  std::vector<TrailerRecord> records;
  uint64_t offset = body_bytes;
  while (offset < file.size()) {
    const auto rest = file.subspan(offset);
    const auto fail = [&](std::string_view fault) {
      throw Error(engine, fmt::format("its trailer {} at byte {}", fault, offset), cut_remedy(offset, engine));
    };
    TrailerHeader header;
    const size_t magic_bytes = std::min(rest.size(), header.magic.size());
    if (std::memcmp(rest.data(), header.magic.data(), magic_bytes) != 0) fail("has something that is no record");
    if (rest.size() < sizeof header) fail("is cut in the record");
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.body_digest != body) fail("has the record of another engine");
    if (header.payload_bytes > rest.size() - sizeof header) fail("is cut in the record");
    const auto payload = rest.subspan(sizeof header, header.payload_bytes);
    if (header.reserved != 0 || header.digest != record_digest(header, payload)) fail("has an altered record");
    const auto kind = static_cast<TrailerKind>(header.kind);
    if (kind == TrailerKind::baseline || kind == TrailerKind::accuracy || kind == TrailerKind::golden) {
      records.push_back({kind, std::string(reinterpret_cast<const char*>(payload.data()), payload.size())});
    }
    offset += sizeof header + payload.size();
  }
  return records;
}

void append_trailer(const std::filesystem::path& path, const Digest& body, TrailerKind kind, std::string_view json) {
  const Error replaced(path.string(), "was replaced by another engine while this one was measured",
                       "measure again, and give every build an output of its own");
  const LockedFile file(path);
  // Opened only now: another program may have appended while we waited for the lock.
  Engine::OpenOptions options;
  options.check_target = false;
  if (Engine::open(path, options)->body_digest() != body || !file.has_its_name()) throw replaced;

  const auto payload = std::as_bytes(std::span(json.data(), json.size()));
  TrailerHeader header;
  header.kind = static_cast<uint32_t>(kind);
  header.payload_bytes = payload.size();
  header.body_digest = body;
  header.digest = record_digest(header, payload);
  std::vector<std::byte> record(sizeof header + payload.size());
  std::memcpy(record.data(), &header, sizeof header);
  std::memcpy(record.data() + sizeof header, payload.data(), payload.size());
  file.append(record);
  if (!file.has_its_name()) throw replaced;
}

}  // namespace incipit
