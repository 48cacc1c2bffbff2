#include "text/detokenizer.h"

#include <utility>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace incipit {

StreamingDetokenizer::StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string StreamingDetokenizer::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  waiting_ += tokenizer_->token_bytes(id);
  std::string text;
  waiting_.erase(0, append_lossy_utf8(text, waiting_, false));
  return text;
}

std::string StreamingDetokenizer::flush() {
  std::string text;
  append_lossy_utf8(text, waiting_, true);
  waiting_.clear();
  return text;
}

}  // namespace incipit
