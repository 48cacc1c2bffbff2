// Text that appears while its tokens are still coming.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "text/tokenizer.h"

namespace incipit {

/// Turns ids into text as they come. A character is given out only once whole; what cannot become one is U+FFFD. All
/// that push and flush return, joined, is what Tokenizer::decode gives for all ids at once.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = true);

  /// Ids that came before, whose text is not asked for. The text to come goes on with theirs and keeps a space that
  /// would be left out at its beginning; behind a special token it begins anew.
  void follow(std::span<const int32_t> ids);

  /// The text that `id` completes: often empty, never part of a character.
  std::string push(int32_t id);
  /// The end: bytes that still wait for the rest of their character come as U+FFFD. Ready to begin a new text
  /// afterwards.
  std::string flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  DecodingStart start_;
  std::string waiting_;  // at most 3 bytes between calls
};

}  // namespace incipit
