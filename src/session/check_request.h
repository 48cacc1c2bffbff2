// Whether a request can run at all.
#pragma once

#include "runtime/executor.h"
#include "session/session.h"

namespace incipit {

/// Throws Error: an empty prompt, an id outside the vocabulary, a prompt longer than the context, sampling parameters
/// out of range, stop texts where there is no tokenizer.
void check_request(const Request& request, const ExecutorLimits& limits, bool has_tokenizer);

}  // namespace incipit
