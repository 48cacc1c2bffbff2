#include "server/line_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace incipit {
namespace {

constexpr size_t most_waiting_bytes = size_t{64} << 20;
constexpr size_t bytes_of_a_line = 256;  // beside what it holds

/// A file's descriptor; below 0: errno says why there is none.
int open_lines(const std::filesystem::path& path, const LineLogOptions& options) {
  if (path == "-") return ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, options.mode);
  struct stat status {};
  if (file < 0 || !options.enforce_mode || ::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return file;
  if ((status.st_mode & 07777) == options.mode || ::fchmod(file, options.mode) == 0) return file;
  const int fault = errno;
  ::close(file);
  errno = fault;
  return -1;
}

}  // namespace

std::string utc_time(std::chrono::system_clock::time_point time) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

LineLog::LineLog(std::filesystem::path path, LineLogOptions options)
    : path_(std::move(path)),
      options_(std::move(options)),
      file_(open_lines(path_, options_)),
      heading_due_(static_cast<bool>(options_.heading)) {
  if (file_ < 0) throw Error(path_.string(), fmt::format("cannot be opened: {}", std::strerror(errno)));
}

LineLog::~LineLog() {
  thread_.finish();
  ::close(file_);
}

void LineLog::add(std::function<std::string()> make, size_t bytes) {
  bytes += bytes_of_a_line;
  if (waiting_bytes_.fetch_add(bytes) >= most_waiting_bytes) {
    waiting_bytes_ -= bytes;
    ++dropped_;
    ++lost_;
    return;
  }
  thread_.add([this, make = std::move(make), bytes] {
    tell_of_slowness(false);
    write(make);
    if (waiting_bytes_.fetch_sub(bytes) == bytes) tell_of_slowness(true);
  });
}

void LineLog::reopen() {
  if (path_ == "-") return;
  thread_.add([this] {
    const int file = open_lines(path_, options_);
    if (file < 0) {
      log_error("the {} {} cannot be opened: {}; the one that was open goes on", options_.name, path_.string(),
                std::strerror(errno));
      return;
    }
    ::close(std::exchange(file_, file));
    if (!rest_.empty()) ++lost_;
    rest_.clear();
    heading_due_ = static_cast<bool>(options_.heading);
  });
}

/// Once when lines begin to be lost, and once, with their number, when the disk has caught up.
void LineLog::tell_of_slowness(bool at_end) {
  if (dropped_ == 0) return;
  if (!slow_) log_warning("lines of the {} {} are lost: the disk is too slow", options_.name, path_.string());
  slow_ = !at_end;
  if (at_end) log_warning("{} lines of the {} {} were lost", dropped_.exchange(0), options_.name, path_.string());
}

void LineLog::write(const std::function<std::string()>& make) {
  if (heading_due_) heading_due_ = !put(options_.heading());
  const bool kept = !heading_due_ && put(make());
  if (!kept) ++lost_;
  if (!kept && !failing_) {
    log_error("the {} {} cannot be written: {}", options_.name, path_.string(), std::strerror(errno));
  }
  failing_ = !kept;
}

/// False where nothing of the line is written. What the disk did not take of an earlier one comes first: no line begins
/// in another's middle.
bool LineLog::put(const std::string& line) {
  if (!write_some(rest_)) return false;
  rest_ = line + "\n";
  const size_t whole = rest_.size();
  if (write_some(rest_) || rest_.size() < whole) return true;
  rest_.clear();
  return false;
}

/// Takes from the text what was written; false where some is left.
bool LineLog::write_some(std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(file_, text.data() + done, text.size() - done);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      break;
    }
  }
  const int fault = errno;
  text.erase(0, done);
  errno = fault;
  return text.empty();
}

}  // namespace incipit
