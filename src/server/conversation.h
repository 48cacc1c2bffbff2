// Which conversation a body belongs to, so that all of it goes to one version.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>

namespace incipit {

/// A number that all requests of a conversation have in common: of what the client calls it (`prompt_cache_key`, or
/// `user`), else of its messages up to the user's first, or of its prompt's beginning. `caller`: the key's.
uint64_t conversation_of(const boost::json::object& body, uint64_t caller);

}  // namespace incipit
