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
  /// None may be empty. Those of `with_hidden` are looked for in the texts that are not shown too.
  explicit StopTextFilter(std::vector<std::string> stops = {}, std::vector<std::string> with_hidden = {});

  /// Returns what can be shown.
  std::string push(std::string_view text);
  /// The same for a text that is not shown itself: a special token's.
  std::string push_hidden(std::string_view text);
  /// The stream ends by itself: what was held back.
  std::string flush();
  bool stopped() const { return stopped_; }

 private:
  std::string advance();
  /// Takes so many characters off the front of what is held, and returns those that are shown.
  std::string take(size_t count);

  std::vector<std::string> stops_, with_hidden_;
  std::string held_;          // between calls, a proper prefix of a stop text; hidden characters may stand in it
  std::vector<bool> hidden_;  // of each character that is held
  bool stopped_ = false;
};

}  // namespace incipit
