// Lines on disks that are full for a while, or slow.
#include "server/line_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/file.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

void wait_until(const auto& is_so) {
  for (int tries = 0; tries < 10'000 && !is_so(); ++tries) ::usleep(1000);
}

TEST(LineLog, BeginsNoLineInAnothersMiddle) {
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit usual {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "log";
  {
    LineLog log(path, {.name = "test's log", .heading = [] { return "heading"; }});
    log.add([] { return "first"; }, 5);
    wait_until([&] { return std::filesystem::file_size(path) == 14; });
    // A file of 20 bytes is as large as one may be.
    const struct rlimit small { 20, usual.rlim_max };
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    log.add([] { return "half of it"; }, 10);
    log.add([] { return "lost"; }, 4);
    wait_until([&] { return log.lost() == 1; });
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
    EXPECT_EQ(read_text_file(path), "heading\nfirst\nhalf o");
    log.add([] { return "last"; }, 4);
  }
  ::signal(SIGXFSZ, before);
  EXPECT_EQ(read_text_file(path), "heading\nfirst\nhalf of it\nlast\n");
}

TEST(LineLog, LosesLinesRatherThanKeepThemAllForASlowDisk) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  size_t lines = 0;
  constexpr size_t line_bytes = 1 << 20, added = 80;
  uint64_t lost = 0;
  {
    LineLog log(path, {.name = "test's log"});
    // Nobody reads: the pipe takes some 64 KiB, and 64 MiB of lines wait.
    for (size_t i = 0; i < added; ++i) log.add([] { return std::string(line_bytes, 'x'); }, line_bytes);
    lost = log.lost();
    EXPECT_GE(lost, added - 65);
    EXPECT_LT(lost, added);
    std::string some(1 << 16, ' ');
    while (lines < added - lost) {
      const ssize_t count = ::read(reader, some.data(), some.size());
      const std::string_view got(some.data(), static_cast<size_t>(std::max<ssize_t>(0, count)));
      for (size_t at = got.find('\n'); at != got.npos; at = got.find('\n', at + 1)) ++lines;
    }
  }
  EXPECT_EQ(lines, added - lost);
  ::close(reader);
}

}  // namespace
}  // namespace incipit
