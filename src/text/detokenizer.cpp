#include "text/detokenizer.h"

#include <utility>

#include "base/utf8.h"

namespace incipit {

StreamingDetokenizer::StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special), start_(tokenizer_->decoding_start()) {}

void StreamingDetokenizer::follow(std::span<const int32_t> ids) {
  size_t first = ids.size();
  while (first > 0 && !tokenizer_->is_special(ids[first - 1])) --first;
  std::string before;
  for (const int32_t id : ids.subspan(first)) {
    if (!start_.first_token && start_.strippable == 0) break;
    tokenizer_->append_token(id, start_, before);
  }
}

std::string StreamingDetokenizer::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  tokenizer_->append_token(id, start_, waiting_);
  std::string text;
  waiting_.erase(0, append_lossy_utf8(text, waiting_, false));
  return text;
}

std::string StreamingDetokenizer::flush() {
  std::string text;
  append_lossy_utf8(text, waiting_, true);
  waiting_.clear();
  start_ = tokenizer_->decoding_start();
  return text;
}

}  // namespace incipit
