// Ends a stream of text before the first of given texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// Text goes in piece by piece and comes out as soon as it cannot become a stop text any more. The first stop text to
/// be complete ends the stream, before its first character; what came after it is dropped.
class StopTextFilter {
 public:
  /// None may be empty.
  explicit StopTextFilter(std::vector<std::string> stops = {});

  /// Returns what can be shown.
  std::string push(std::string_view text);
  /// The stream ends by itself: what was held back.
  std::string flush();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper prefix of a stop text between calls
  bool stopped_ = false;
};

}  // namespace incipit
