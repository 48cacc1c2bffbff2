// Files: read through a mapping, written so that a half-written one is never seen.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace incipit {

/// A read-only mapping of a whole file. Shared ownership is the rule: whoever keeps a view keeps the mapping.
class MappedFile {
 public:
  /// Throws Error naming the path when it cannot be opened, is a directory, or cannot be mapped.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  /// Copies [offset, offset + out.size()), which lies in the file, without bringing the mapping's pages into residence:
  /// a fault maps as much around it as the system likes. Throws Error when the file cannot be read there any more.
  void read(size_t offset, std::span<std::byte> out) const;
  /// From `offset` on, or a little before, the mapping stays as the file is now, whatever is written to it later: those
  /// bytes are copied, and done_with() would lose them. Throws Error as read().
  void keep_from(size_t offset) const;
  /// Tells the system that [offset, offset+size) will be wanted soon, or never again (drops it from residence).
  void will_need(size_t offset, size_t size) const;
  void done_with(size_t offset, size_t size) const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  int descriptor_ = -1;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Reads a small text file whole, and waits for nobody. Throws Error when it is missing, no regular file, or larger
/// than `limit` bytes.
std::string read_text_file(const std::filesystem::path& path, size_t limit = size_t{256} << 20);
/// The same of a pipe or a device too, whose writer is waited for; Ctrl-C throws.
std::string read_stream(const std::filesystem::path& path, size_t limit = size_t{256} << 20);
/// The first bytes of a regular file, at most `most`; none where it cannot be read.
std::string beginning_of(const std::filesystem::path& path, size_t most = 4096);

/// Writes to a temporary name beside the target and renames on commit(); without commit (an exception,
/// Ctrl-C) the temporary is removed and the old file, if any, stays as it was. What a killed program has left of the
/// same target is removed by the next one that writes it. A link stays: what it leads to is written.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error (disk full, …).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites earlier bytes (a header whose digest is known last).
  void write_at(size_t offset, std::span<const std::byte> bytes);
  size_t size() const { return size_; }
  /// Where it is until commit(), for who looks at it once more before.
  const std::filesystem::path& temporary() const { return temporary_; }
  /// fsync and rename over the target.
  void commit();

 private:
  void write_all(std::span<const std::byte> bytes, size_t offset);
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  size_t size_ = 0;
  bool committed_ = false;
};

/// Between a target's name, and a process and a number in it: the name of a file that is not yet whole.
constexpr std::string_view temporary_mark = ".tmp-";
/// Removes what killed programs have left of AtomicFiles for `target`; those of programs that live stay.
void remove_abandoned(const std::filesystem::path& target);

/// Programs that read a file, change it and replace it take turns: each holds the lock of the file's directory from the
/// reading to the renaming. Where the file system has no locks, there is none.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& file);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace incipit
