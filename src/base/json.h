// Foreign JSON (Boost.JSON: strict RFC 8259, depth at most 32), with our one-line errors.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace incipit {

/// Throws Error naming `thing` and the line of the fault. Where a key is given twice the last one counts.
boost::json::value parse_json(std::string_view text, std::string_view thing);

/// The first key that some object of this well-formed JSON text has twice; empty where there is none.
std::string repeated_key(std::string_view text);

/// The number, or null where it is infinite or not a number: JSON has neither.
boost::json::value finite_or_null(double number);

/// What kind of value this is, for messages: "a number", "null" …
std::string_view kind_name(const boost::json::value& value);

}  // namespace incipit
