#include "session/stop_text.h"

#include <algorithm>
#include <utility>

namespace incipit {
namespace {

/// Length of the longest end of `text` that is a beginning of `stop`, but not all of it.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  }
  return 0;
}

}  // namespace

StopTextFilter::StopTextFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopTextFilter::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  // The stop text that is complete first ends the stream; of those that end together, the one that began first.
  size_t end = std::string::npos, begin = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    if (std::pair(at + stop.size(), at) < std::pair(end, begin)) end = at + stop.size(), begin = at;
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, overlap(held_, stop));
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return shown;
}

std::string StopTextFilter::flush() { return std::exchange(held_, {}); }

}  // namespace incipit
