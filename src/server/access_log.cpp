#include "server/access_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace incipit {
namespace {

constexpr int64_t most_waiting = 100'000;
constexpr size_t longest_logged_path = 256;

int open_log(const std::filesystem::path& path) {
  if (path == "-") return ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  constexpr mode_t for_owner_and_group = 0640;
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, for_owner_and_group);
}

std::string time_of_day() {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     (now - seconds).count());
}

std::string line_of(const AccessRecord& record) {
  const auto ms_until = [&](AccessRecord::Clock::time_point then) {
    return std::chrono::duration<double, std::milli>(then - record.begun).count();
  };
  boost::json::object line{{"time", time_of_day()},
                           {"id", record.id},
                           {"method", record.method},
                           {"path", record.path.substr(0, longest_logged_path)},
                           {"status", record.status}};
  if (!record.model.empty()) {
    const bool has_token = record.first_token != AccessRecord::Clock::time_point();
    line["model"] = record.model;
    line["finish"] = record.finish;
    line["prompt_tokens"] = record.prompt_tokens;
    line["cached_tokens"] = record.cached_tokens;
    line["completion_tokens"] = record.new_tokens;
    if (!record.cache.is_null()) line["cache"] = record.cache;
    line["ttft_ms"] = has_token ? boost::json::value(ms_until(record.first_token)) : boost::json::value(nullptr);
  }
  line["total_ms"] = ms_until(AccessRecord::Clock::now());
  return boost::json::serialize(line) + "\n";
}

}  // namespace

AccessLog::AccessLog(std::filesystem::path path) : path_(std::move(path)), file_(open_log(path_)) {
  if (file_ < 0) throw Error(path_.string(), fmt::format("cannot be opened: {}", std::strerror(errno)));
}

AccessLog::~AccessLog() {
  thread_.finish();
  ::close(file_);
}

void AccessLog::add(const AccessRecord& record) {
  if (waiting_.fetch_add(1) >= most_waiting) {
    --waiting_;
    ++dropped_;
    return;
  }
  thread_.add([this, line = line_of(record)] {
    --waiting_;
    write(line);
  });
}

void AccessLog::reopen() {
  if (path_ == "-") return;
  thread_.add([this] {
    const int file = open_log(path_);
    if (file < 0) {
      log_error("the access log {} cannot be opened: {}; the one that was open goes on", path_.string(),
                std::strerror(errno));
      return;
    }
    ::close(std::exchange(file_, file));
  });
}

void AccessLog::write(const std::string& line) {
  if (const int64_t dropped = dropped_.exchange(0); dropped > 0) {
    log_warning("{} lines of the access log {} are lost: the disk is too slow", dropped, path_.string());
  }
  const bool failed = ::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size());
  if (failed && !failing_) log_error("the access log {} cannot be written: {}", path_.string(), std::strerror(errno));
  failing_ = failed;
}

}  // namespace incipit
