// /v1/completions and /v1/chat/completions.
#include "server/endpoints/endpoints.h"
#include "server/generation.h"

namespace incipit {

void answer_completions(const Asked& asked) { Generation::start(asked.services, asked.call, false); }

void answer_chat_completions(const Asked& asked) { Generation::start(asked.services, asked.call, true); }

}  // namespace incipit
