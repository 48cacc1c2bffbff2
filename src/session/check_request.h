// Whether a request can run at all.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "runtime/executor.h"
#include "session/session.h"

namespace incipit {

enum class RequestPart : uint8_t { prompt, stop_texts, stop_ids, biases, other };

/// A request that can never run, and what of it is at fault.
class UnfitRequest : public Error {
 public:
  UnfitRequest(RequestPart part, std::string_view fault, std::string_view remedy)
      : Error("request", fault, remedy), part_(part) {}
  RequestPart part() const { return part_; }

 private:
  RequestPart part_;
};

/// Throws UnfitRequest: an empty prompt, an id outside the vocabulary, a prompt longer than the context, sampling
/// parameters out of range, stop texts where there is no tokenizer.
void check_request(const Request& request, const ExecutorLimits& limits, bool has_tokenizer);

}  // namespace incipit
