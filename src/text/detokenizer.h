// Text that appears while its tokens are still coming.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace incipit {

class Tokenizer;

/// Turns ids into text as they come. A character is given out only once whole; what cannot become one is U+FFFD. All
/// that push and flush return, joined, is what Tokenizer::decode gives for all ids at once.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = true);

  /// The text that `id` completes: often empty, never part of a character.
  std::string push(int32_t id);
  /// The end: bytes that still wait for the rest of their character come as U+FFFD. Ready for a new text afterwards.
  std::string flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::string waiting_;  // at most 3 bytes between calls
};

}  // namespace incipit
