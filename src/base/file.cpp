#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"

namespace incipit {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

std::string reason(int code) { return std::generic_category().message(code); }

[[noreturn]] void cannot(const std::string& what, const std::filesystem::path& path, int code) {
  std::string_view remedy;
  switch (code) {
    case ENOENT: remedy = "check the path"; break;
    case EACCES:
    case EPERM: remedy = "check its permissions"; break;
    case ENOSPC:
    case EDQUOT: remedy = "free some space or write elsewhere"; break;
    default: break;
  }
  throw Error(path.string(), "cannot " + what + ": " + reason(code), remedy);
}

/// Ctrl-C ends the wait for a pipe's writer.
int open_for_reading(const std::filesystem::path& path, struct stat& status, int more_flags = 0) {
  int descriptor = -1;
  while ((descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | more_flags)) < 0 && errno == EINTR) {
    check_interrupt();
  }
  if (descriptor < 0) {
    if (path.empty()) throw Error("file name", "is empty", "name a file");
    const int code = errno;
    if (code == ENOENT && !is_there(path)) throw Error(path.string(), "no such file", "check the path");
    cannot("open", path, code);
  }
  if (::fstat(descriptor, &status) != 0) {
    const int code = errno;
    ::close(descriptor);
    cannot("read its size", path, code);
  }
  if (S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    throw Error(path.string(), "is a directory", "name a file");
  }
  return descriptor;
}

/// Opens what is meant to be a file on disk: a named pipe is refused, and no writer of it is waited for.
int open_regular(const std::filesystem::path& path, struct stat& status) {
  Descriptor descriptor(open_for_reading(path, status, O_NONBLOCK));
  if (!S_ISREG(status.st_mode)) throw Error(path.string(), "is not a regular file", "name a file on disk");
  return descriptor.release();
}

/// Reads to the end; Ctrl-C ends the wait for a pipe's writer, and no reading of a file.
std::string read_whole(int descriptor, const std::filesystem::path& path, const struct stat& status, size_t limit) {
  const auto too_large = [&] {
    throw Error(path.string(), "is larger than " + std::to_string(limit) + " bytes", "check that it is the right file");
  };
  const auto announced = static_cast<size_t>(status.st_size);
  if (S_ISREG(status.st_mode) && announced > limit) too_large();

  // The announced size is only a first guess: files of /proc say 0, and a file may grow.
  std::string text(S_ISREG(status.st_mode) ? announced + 1 : 4096, '\0');
  size_t filled = 0;
  while (true) {
    if (!S_ISREG(status.st_mode)) check_interrupt();
    const ssize_t count = ::read(descriptor, text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) cannot("read", path, errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
    if (filled > limit) too_large();
    if (filled == text.size()) text.resize(std::max<size_t>(2 * text.size(), 4096));
  }
  text.resize(filled);
  return text;
}

/// Waits for the lock. Without one where the file system has no locks.
void lock(int descriptor) {
  while (::flock(descriptor, LOCK_EX) != 0 && errno == EINTR) {
  }
}

std::filesystem::path directory_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

/// Whether `name` is one that AtomicFile makes for `target`: TARGET.tmp-DIGITS-DIGITS.
bool is_temporary_of(std::string_view name, std::string_view target) {
  if (!name.starts_with(target)) return false;
  name.remove_prefix(target.size());
  if (!name.starts_with(temporary_mark)) return false;
  name.remove_prefix(temporary_mark.size());
  const size_t dash = name.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return dash != std::string_view::npos && is_number(name.substr(0, dash)) && is_number(name.substr(dash + 1));
}

size_t page_size() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

// A program that lives holds a lock on its file; numbers of processes say nothing, as another process may have the same
// one by now, here or in another container.
void remove_abandoned(const std::filesystem::path& target) {
  std::error_code ignored;
  const std::string name = target.filename().string();
  for (std::filesystem::directory_iterator at(directory_of(target), ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    if (!is_temporary_of(at->path().filename().string(), name)) continue;
    const Descriptor file(::open(at->path().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    const bool ours =
        file.get() >= 0 && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid();
    if (ours && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
  }
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  struct stat status {};
  Descriptor descriptor(open_regular(path, status));
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  if (status.st_size == 0) return file;  // mmap refuses an empty range
  const auto size = static_cast<size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.get(), 0);
  if (memory == MAP_FAILED) cannot("map", path, errno);
  file->data_ = static_cast<const std::byte*>(memory);
  file->size_ = size;
  file->descriptor_ = descriptor.release();
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::read(size_t offset, std::span<std::byte> out) const {
  INCIPIT_ASSERT(offset <= size_ && out.size() <= size_ - offset);
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) cannot("read", path_, errno);
    if (count == 0) throw Error(path_.string(), "has become shorter while it was read", "leave it alone and try again");
    out = out.subspan(static_cast<size_t>(count));
    offset += static_cast<size_t>(count);
  }
}

void MappedFile::keep_from(size_t offset) const {
  const size_t begin = offset / page_size() * page_size();
  if (begin >= size_) return;
  std::byte* const own = const_cast<std::byte*>(data_) + begin;
  if (::mmap(own, size_ - begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    cannot("map", path_, errno);
  }
  read(begin, {own, size_ - begin});
  ::mprotect(own, size_ - begin, PROT_READ);
}

// Both are hints: a range outside the file is cut, and a refusal of the system changes nothing.
void MappedFile::will_need(size_t offset, size_t size) const {
  if (offset >= size_ || size == 0) return;
  const size_t begin = offset / page_size() * page_size();
  const size_t end = offset + std::min(size, size_ - offset);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::done_with(size_t offset, size_t size) const {
  if (offset >= size_) return;
  const size_t range_end = offset + std::min(size, size_ - offset);
  // Only whole pages inside the range: its neighbours on a shared page may still be in use.
  const size_t begin = (offset + page_size() - 1) / page_size() * page_size();
  const size_t end = range_end == size_ ? size_ : range_end / page_size() * page_size();
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

std::string read_text_file(const std::filesystem::path& path, size_t limit) {
  struct stat status {};
  const Descriptor descriptor(open_regular(path, status));
  return read_whole(descriptor.get(), path, status, limit);
}

std::string read_stream(const std::filesystem::path& path, size_t limit) {
  struct stat status {};
  const Descriptor descriptor(open_for_reading(path, status));
  return read_whole(descriptor.get(), path, status, limit);
}

std::string beginning_of(const std::filesystem::path& path, size_t most) {
  std::string beginning(most, '\0');
  struct stat status {};
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const bool regular = descriptor.get() >= 0 && ::fstat(descriptor.get(), &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t count = regular ? ::pread(descriptor.get(), beginning.data(), most, 0) : 0;
  beginning.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return beginning;
}

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(behind_links(target)) {
  struct stat status {};
  if (::stat(target_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    // Renaming over a device or a directory would replace it (or fail only after all the work).
    throw Error(target_.string(), S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file",
                "name a file to write");
  }
  remove_abandoned(target_);
  static std::atomic<unsigned> serial{0};
  while (descriptor_ < 0) {
    temporary_ = target_;
    temporary_ += fmt::format("{}{}-{}", temporary_mark, ::getpid(), serial.fetch_add(1));
    Descriptor made(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (const int code = made.get() < 0 ? errno : 0; code != 0) {
      // Some directories that are there (/proc) say of every new file that it does not exist.
      if (code == ENOENT && !is_a_directory(directory_of(target_))) {
        throw Error(target_.string(), "its directory does not exist", "create the directory first");
      }
      if (code != EEXIST) cannot("write", target_, code);
      continue;
    }
    lock(made.get());
    // Another program may have taken the file for abandoned before it was locked.
    if (::fstat(made.get(), &status) == 0 && status.st_nlink > 0) descriptor_ = made.release();
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  constexpr size_t portion = size_t{64} << 20;
  write_all(bytes, size_);
  const size_t begin = size_ / portion * portion;
  size_ += bytes.size();
  const size_t end = size_ / portion * portion;
  // On its way to the disk now, or the commit would begin with all that the system keeps in memory.
  if (end > begin) {
    ::sync_file_range(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(end - begin), SYNC_FILE_RANGE_WRITE);
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::write_at(size_t offset, std::span<const std::byte> bytes) {
  INCIPIT_ASSERT(offset <= size_ && bytes.size() <= size_ - offset);
  write_all(bytes, offset);
}

void AtomicFile::write_all(std::span<const std::byte> bytes, size_t offset) {
  INCIPIT_ASSERT(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) cannot("write", target_, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<size_t>(count);
  }
}

void AtomicFile::commit() {
  INCIPIT_ASSERT(descriptor_ >= 0);
  // Data first, then the name: after a power cut the target is the old file or the whole new one.
  if (::fsync(descriptor_) != 0) cannot("write", target_, errno);
  // Closed behind the renaming: until then the lock says that the file is not abandoned.
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) cannot("rename the finished file to", target_, errno);
  committed_ = true;
  ::close(std::exchange(descriptor_, -1));
  const Descriptor parent(::open(directory_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() >= 0) ::fsync(parent.get());  // some file systems cannot; the rename itself has happened
}

DirectoryLock::DirectoryLock(const std::filesystem::path& file)
    : descriptor_(::open(directory_of(behind_links(file)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ >= 0) lock(descriptor_);
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace incipit
