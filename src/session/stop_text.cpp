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

/// A stream as one kind of stop text sees it, and where its characters stand in what is held.
struct View {
  std::string text;
  std::vector<size_t> places;
};

View view_of(const std::string& held, const std::vector<bool>& hidden, bool with_hidden) {
  View view;
  for (size_t i = 0; i < held.size(); ++i) {
    if (hidden[i] && !with_hidden) continue;
    view.text += held[i];
    view.places.push_back(i);
  }
  return view;
}

}  // namespace

StopTextFilter::StopTextFilter(std::vector<std::string> stops, std::vector<std::string> with_hidden)
    : stops_(std::move(stops)), with_hidden_(std::move(with_hidden)) {}

std::string StopTextFilter::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty() && with_hidden_.empty()) return std::string(text);
  held_ += text;
  hidden_.resize(held_.size(), false);
  return advance();
}

std::string StopTextFilter::push_hidden(std::string_view text) {
  if (stopped_ || with_hidden_.empty()) return {};
  held_ += text;
  hidden_.resize(held_.size(), true);
  return advance();
}

std::string StopTextFilter::advance() {
  // The stop text that is complete first ends the stream; of those that end together, the one that began first.
  size_t end = std::string::npos, begin = std::string::npos, keep_from = held_.size();
  const auto look_for = [&](const std::vector<std::string>& stops, bool with_hidden) {
    if (stops.empty()) return;
    const View view = view_of(held_, hidden_, with_hidden);
    for (const std::string& stop : stops) {
      if (const size_t at = view.text.find(stop); at != std::string::npos) {
        const size_t first = view.places[at], last = view.places[at + stop.size() - 1];
        if (std::pair(last + 1, first) < std::pair(end, begin)) end = last + 1, begin = first;
      } else if (const size_t kept = overlap(view.text, stop); kept > 0) {
        keep_from = std::min(keep_from, view.places[view.text.size() - kept]);
      }
    }
  };
  look_for(stops_, false);
  look_for(with_hidden_, true);
  stopped_ = begin != std::string::npos;
  std::string shown = take(stopped_ ? begin : keep_from);
  if (stopped_) take(held_.size());
  return shown;
}

std::string StopTextFilter::take(size_t count) {
  std::string shown;
  for (size_t i = 0; i < count; ++i) {
    if (!hidden_[i]) shown += held_[i];
  }
  held_.erase(0, count);
  hidden_.erase(hidden_.begin(), hidden_.begin() + static_cast<std::ptrdiff_t>(count));
  return shown;
}

std::string StopTextFilter::flush() { return take(held_.size()); }

}  // namespace incipit
