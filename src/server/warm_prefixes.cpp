#include "server/warm_prefixes.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace incipit {

void warm_prefixes(Gateway& from, Gateway& to) {
  constexpr auto longest = std::chrono::seconds(10);
  constexpr int64_t most_tokens = 1 << 15;
  const auto& groups = to.limits().groups;
  if (groups.empty() || from.limits().vocabulary != to.limits().vocabulary) return;
  const int64_t room = int64_t{groups.front().pages} * groups.front().page_tokens / 2;
  std::vector<PrefixCache::Text> texts;
  from.look([&](Session& session) { texts = session.latest_texts(static_cast<size_t>(std::min(room, most_tokens))); });
  const auto end = std::chrono::steady_clock::now() + longest;
  for (PrefixCache::Text& text : texts) {
    if (std::chrono::steady_clock::now() > end) return;
    if (text.tokens.size() > static_cast<size_t>(to.limits().max_context)) continue;
    Request request;
    request.prompt = std::move(text.tokens);
    request.cache_salt = text.salt;
    request.max_new_tokens = 1;
    request.priority = SequenceTerms::batch_priority;
    request.detokenize = false;
    request.measures = true;
    const StreamUpdate all = TokenStream(to, std::move(request)).read_to_end();
    if (all.finish == FinishReason::failed) log_info("a prefix was not computed again: {}", all.failure);
  }
}

}  // namespace incipit
