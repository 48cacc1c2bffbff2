#include "server/access_log.h"

#include <boost/json.hpp>
#include <utility>

namespace incipit {
namespace {

constexpr size_t longest_logged_path = 256;

struct EndOfRequest {
  AccessRecord::Clock::time_point moment = AccessRecord::Clock::now();
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
};

std::string line_of(const AccessRecord& record, const EndOfRequest& end) {
  const auto ms_until = [&](AccessRecord::Clock::time_point then) {
    return std::chrono::duration<double, std::milli>(then - record.begun).count();
  };
  boost::json::object line{{"time", utc_time(end.time)},
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
  line["total_ms"] = ms_until(end.moment);
  return boost::json::serialize(line);
}

}  // namespace

AccessLog::AccessLog(std::filesystem::path path) : lines_(std::move(path), {.name = "access log"}) {}

void AccessLog::add(const AccessRecord& record) {
  lines_.add([record, end = EndOfRequest()] { return line_of(record, end); }, record.path.size());
}

}  // namespace incipit
