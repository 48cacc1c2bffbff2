// Foreign JSON as Python reads it (Boost.JSON: RFC 8259 and Python's NaN and Infinity, depth at most 100), with our
// one-line errors.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace incipit {

/// What becomes of an integer that 64 bits do not hold: the nearest float, or one that large_integer() reads.
enum class LargeIntegers : uint8_t { as_floats, kept };

/// Throws Error naming `thing` and the line of the fault. Where a key is given twice the last one counts. A byte order
/// mark is passed over. Texts are valid UTF-8: a surrogate without its other half is a fault.
boost::json::value parse_json(std::string_view text, std::string_view thing,
                              LargeIntegers large_integers = LargeIntegers::as_floats);

/// The digits of an integer that was kept though 64 bits do not hold it; nothing for any other value.
std::optional<std::string_view> large_integer(const boost::json::value& value);

/// The first key that some object of this well-formed JSON text has twice; empty where there is none.
std::string repeated_key(std::string_view text);

/// The number, or null where it is infinite or not a number: JSON has neither.
boost::json::value finite_or_null(double number);

/// What kind of value this is, for messages: "a number", "null" …
std::string_view kind_name(const boost::json::value& value);

}  // namespace incipit
