#include "base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void put(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

size_t entries(const fs::path& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

TEST(MappedFileTest, MapsTheWholeFile) {
  const TemporaryDirectory directory;
  std::string content(3 * 4096 + 17, 'x');
  content[4096] = 'y';
  put(directory / "file", content);
  const auto file = MappedFile::open(directory / "file");
  EXPECT_EQ(file->path(), directory / "file");
  EXPECT_EQ(file->text(), content);
  EXPECT_EQ(file->bytes().size(), content.size());
}

TEST(MappedFileTest, HintsNeverChangeTheContent) {
  const TemporaryDirectory directory;
  const std::string content(5 * 4096 + 3, 'q');
  put(directory / "file", content);
  const auto file = MappedFile::open(directory / "file");
  file->will_need(100, 9000);
  file->done_with(100, 9000);
  file->done_with(0, content.size());
  file->will_need(0, ~size_t{0});
  file->done_with(4097, ~size_t{0});
  file->will_need(content.size(), 1);
  file->done_with(content.size() + 5, 1);
  EXPECT_EQ(file->text(), content);
}

TEST(MappedFileTest, ReadsPiecesAsTheyStandInTheFile) {
  const TemporaryDirectory directory;
  put(directory / "file", "0123456789");
  const auto file = MappedFile::open(directory / "file");
  std::string piece(4, ' ');
  file->read(3, std::as_writable_bytes(std::span(piece)));
  EXPECT_EQ(piece, "3456");
  file->read(10, {});
  fs::resize_file(directory / "file", 5);
  EXPECT_EQ(message_of([&] { file->read(3, std::as_writable_bytes(std::span(piece))); }),
            (directory / "file").string() + ": has become shorter while it was read; leave it alone and try again");
}

TEST(MappedFileTest, OutlivesItsName) {
  const TemporaryDirectory directory;
  put(directory / "file", "still here");
  const auto file = MappedFile::open(directory / "file");
  fs::remove(directory / "file");
  EXPECT_EQ(file->text(), "still here");
}

TEST(MappedFileTest, EmptyFile) {
  const TemporaryDirectory directory;
  put(directory / "file", "");
  const auto file = MappedFile::open(directory / "file");
  EXPECT_TRUE(file->bytes().empty());
  EXPECT_TRUE(file->text().empty());
  file->will_need(0, 1);
  file->done_with(0, 1);
}

TEST(MappedFileTest, Faults) {
  const TemporaryDirectory directory;
  const std::string missing = (directory / "missing").string();
  EXPECT_EQ(message_of([&] { MappedFile::open(missing); }), missing + ": no such file; check the path");
  fs::create_symlink("missing", directory / "dangling");
  EXPECT_THAT(message_of([&] { MappedFile::open(directory / "dangling"); }),
              HasSubstr("dangling: is a link to missing, which does not exist"));
  EXPECT_EQ(message_of([&] { MappedFile::open(directory.path()); }),
            directory.path().string() + ": is a directory; name a file");
  EXPECT_THAT(message_of([] { MappedFile::open("/dev/null"); }), HasSubstr("/dev/null: is not a regular file"));
  EXPECT_THAT(message_of([] { MappedFile::open(""); }), HasSubstr("file name: is empty"));
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of([&] { MappedFile::open(directory / "pipe"); }), HasSubstr("is not a regular file"))
      << "and nobody waits for a writer";
  put(directory / "file", "x");
  EXPECT_THAT(message_of([&] { MappedFile::open(directory / "file" / "below"); }), HasSubstr("cannot open"));
}

TEST(ReadTextFileTest, ReadsWholeFilesUpToTheLimit) {
  const TemporaryDirectory directory;
  put(directory / "empty", "");
  EXPECT_EQ(read_text_file(directory / "empty"), "");
  const std::string content(10000, 'z');
  put(directory / "file", content);
  EXPECT_EQ(read_text_file(directory / "file"), content);
  EXPECT_EQ(read_text_file(directory / "file", 10000), content);
  EXPECT_THAT(message_of([&] { read_text_file(directory / "file", 9999); }),
              HasSubstr("file: is larger than 9999 bytes"));
}

TEST(ReadTextFileTest, ReadsFilesThatAnnounceNoSize) {
  EXPECT_THAT(read_text_file("/proc/self/status"), HasSubstr("Pid:"));
  EXPECT_THAT(message_of([] { read_stream("/dev/zero", 100000); }), HasSubstr("is larger than"));
}

TEST(ReadTextFileTest, Faults) {
  EXPECT_EQ(message_of([] { read_text_file("no/such"); }), "no/such: no such file; check the path");
  EXPECT_THAT(message_of([] { read_text_file("/"); }), HasSubstr("is a directory"));
  EXPECT_THAT(message_of([] { read_text_file("/dev/null"); }), HasSubstr("/dev/null: is not a regular file"));
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of([&] { read_text_file(directory / "pipe"); }), HasSubstr("is not a regular file"))
      << "and nobody waits for a writer";
}

TEST(ReadStreamTest, WaitsForAPipesWriter) {
  const TemporaryDirectory directory;
  const std::string pipe = directory / "pipe", content(200'000, 'z');  // more than a pipe holds
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { put(pipe, content); });
  EXPECT_EQ(read_stream(pipe), content);
  writer.join();
  put(directory / "file", "of a file too");
  EXPECT_EQ(read_stream(directory / "file"), "of a file too");
  EXPECT_EQ(message_of([] { read_stream("no/such"); }), "no/such: no such file; check the path");
}

TEST(BeginningOfTest, IsNothingWhereThereIsNoFile) {
  const TemporaryDirectory directory;
  put(directory / "file", "GGUF and more");
  EXPECT_EQ(beginning_of(directory / "file", 4), "GGUF");
  EXPECT_EQ(beginning_of(directory / "file"), "GGUF and more");
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(beginning_of(directory / "pipe"), "");
  EXPECT_EQ(beginning_of(directory.path()), "");
  EXPECT_EQ(beginning_of(directory / "missing"), "");
}

TEST(AtomicFileTest, AppearsOnCommitOnly) {
  const TemporaryDirectory directory;
  AtomicFile file(directory / "out");
  file.write("head ----");
  file.write(bytes_of(" tail"));
  EXPECT_EQ(file.size(), 14u);
  file.write_at(5, bytes_of("more"));
  EXPECT_EQ(file.size(), 14u);
  EXPECT_FALSE(fs::exists(directory / "out"));
  file.commit();
  EXPECT_EQ(read_text_file(directory / "out"), "head more tail");
  EXPECT_EQ(entries(directory.path()), 1u);
}

TEST(AtomicFileTest, WithoutCommitTheOldFileStays) {
  const TemporaryDirectory directory;
  put(directory / "out", "old");
  {
    AtomicFile file(directory / "out");
    file.write("new");
  }
  EXPECT_EQ(read_text_file(directory / "out"), "old");
  EXPECT_EQ(entries(directory.path()), 1u);
  EXPECT_THROW(
      {
        AtomicFile file(directory / "out");
        file.write("new");
        throw Error("", "midway");
      },
      Error);
  EXPECT_EQ(read_text_file(directory / "out"), "old");
  EXPECT_EQ(entries(directory.path()), 1u);
}

TEST(AtomicFileTest, ReplacesAndLeavesReadersOfTheOldOneAlone) {
  const TemporaryDirectory directory;
  put(directory / "out", "old");
  const auto reader = MappedFile::open(directory / "out");
  AtomicFile file(directory / "out");
  file.write("newer");
  file.commit();
  EXPECT_EQ(reader->text(), "old");
  EXPECT_EQ(read_text_file(directory / "out"), "newer");
}

TEST(AtomicFileTest, WritesWhatALinkLeadsTo) {
  const TemporaryDirectory directory;
  for (const char* name : {"here", "there"}) fs::create_directory(directory / name);
  put(directory / "there" / "out", "old");
  fs::create_symlink("../there/out", directory / "here" / "link");
  fs::create_symlink("../there/new", directory / "here" / "dangling");
  fs::create_symlink("../nowhere/new", directory / "here" / "lost");
  for (const char* name : {"link", "dangling"}) {
    AtomicFile file(directory / "here" / name);
    file.write("new");
    EXPECT_EQ(entries(directory / "here"), 3u) << "a file that is not whole lies beside the real one";
    file.commit();
    EXPECT_TRUE(fs::is_symlink(directory / "here" / name));
  }
  EXPECT_EQ(read_text_file(directory / "there" / "out"), "new");
  EXPECT_EQ(read_text_file(directory / "there" / "new"), "new");
  EXPECT_THAT(message_of([&] { AtomicFile file(directory / "here" / "lost"); }),
              HasSubstr("nowhere/new: its directory does not exist; create the directory first"));
  EXPECT_EQ(entries(directory / "there"), 2u);
}

TEST(AtomicFileTest, TwoWritersOfOneTargetDoNotMix) {
  const TemporaryDirectory directory;
  AtomicFile first(directory / "out");
  AtomicFile second(directory / "out");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(read_text_file(directory / "out"), "second");
  EXPECT_EQ(entries(directory.path()), 1u);
}

TEST(AtomicFileTest, ClearsWhatAKilledProgramLeft) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(directory / "out");
    file.write("half");
    ::raise(SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_EQ(entries(directory.path()), 1u) << "nobody could remove it";
  // Not ours, though their names are like it.
  for (const char* name : {"out.tmp-", "out.tmp-1", "out.tmp-1-", "out.tmp-1-x", "other.tmp-1-0", "out.tmp-1-0.txt"}) {
    put(directory / name, "precious");
  }
  fs::create_directory(directory / "out.tmp-1-1");
  put(directory / "elsewhere", "precious");
  fs::create_symlink(directory / "elsewhere", directory / "out.tmp-1-2");
  AtomicFile alive(directory / "out");
  alive.write("alive");
  AtomicFile file(directory / "out");
  file.write("whole");
  file.commit();
  alive.commit();
  EXPECT_EQ(read_text_file(directory / "out"), "alive") << "a program that lives keeps its file";
  EXPECT_EQ(entries(directory.path()), 6u + 3u + 1u);
  EXPECT_EQ(read_text_file(directory / "elsewhere"), "precious");
}

TEST(AtomicFileTest, KilledAtAnyMomentLeavesTheOldFileOrTheNewOne) {
  const TemporaryDirectory directory;
  put(directory / "out", "0");
  for (int round = 0; round < 30; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0;; ++i) {
        AtomicFile file(directory / "out");
        file.write(std::string(1000, static_cast<char>('0' + i % 10)));
        file.commit();
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 331 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string found = read_text_file(directory / "out");
    EXPECT_EQ(found, std::string(found.size() == 1 ? 1 : 1000, found.front())) << round;
    EXPECT_LE(entries(directory.path()), 2u) << "the one that was killed, and no earlier one";
  }
}

TEST(DirectoryLockTest, LetsOneInAtATime) {
  const TemporaryDirectory directory;
  put(directory / "count", "0");
  std::vector<std::thread> programs;
  for (int i = 0; i < 4; ++i) {
    programs.emplace_back([&] {
      for (int j = 0; j < 25; ++j) {
        const DirectoryLock turn(directory / "count");
        const int count = std::stoi(read_text_file(directory / "count"));
        put(directory / "count", std::to_string(count + 1));
      }
    });
  }
  for (std::thread& program : programs) program.join();
  EXPECT_EQ(read_text_file(directory / "count"), "100");
  const DirectoryLock nowhere("no/such/file");
}

TEST(AtomicFileTest, HonoursTheCreationMask) {
  const TemporaryDirectory directory;
  const mode_t old = ::umask(027);
  AtomicFile file(directory / "out");
  ::umask(old);
  file.commit();
  EXPECT_EQ(static_cast<unsigned>(fs::status(directory / "out").permissions()), 0640u);
}

TEST(AtomicFileTest, Faults) {
  const TemporaryDirectory directory;
  EXPECT_THAT(message_of([&] { AtomicFile file(directory / "no" / "out"); }),
              HasSubstr("no/out: its directory does not exist; create the directory first"));
  EXPECT_THAT(message_of([] { AtomicFile file("/proc/out"); }),
              HasSubstr("/proc/out: cannot write: No such file or directory"));
  EXPECT_THAT(message_of([&] { AtomicFile file(directory.path()); }), HasSubstr("is a directory"));
  EXPECT_THAT(message_of([] { AtomicFile file("/dev/null"); }), HasSubstr("/dev/null: is not a regular file"));
}

TEST(AtomicFileTest, AFullDiskIsAnErrorAndLeavesNothing) {
  const TemporaryDirectory directory;
  put(directory / "out", "old");
  // A limit on file size stands in for the full disk.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{4096, old.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = message_of([&] {
    AtomicFile file(directory / "out");
    file.write(std::string(10000, 'x'));
    file.commit();
  });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message, HasSubstr("out: cannot write"));
  EXPECT_EQ(read_text_file(directory / "out"), "old");
  EXPECT_EQ(entries(directory.path()), 1u);
}

}  // namespace
}  // namespace incipit
