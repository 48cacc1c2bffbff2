#pragma once

#include <boost/json/object.hpp>
#include <cstdint>

#include "session/prefix_explanation.h"
#include "text/tokenizer.h"

namespace incipit {

/// Whether prefixes of other salts are told of, which are other clients'.
enum class ExplainedSalts : uint8_t { own, all };

/// {"reused", "position", "token": {"id", "text"}, "held", "reason"}; `tokenizer` may be null.
boost::json::object explanation_object(const PrefixExplanation& explained, const Tokenizer* tokenizer,
                                       ExplainedSalts salts);

}  // namespace incipit
