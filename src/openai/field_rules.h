// What becomes of each field of a body: one table, which docs/server.md and docs/batch.md show.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string_view>

namespace incipit {

/// Which bodies have a field.
enum class FieldPlace : uint8_t { both, chat, completions };

enum class FieldTreatment : uint8_t {
  honoured,  // read
  hint,      // ignored: it says who asks, or how a server may go about it
  refused,   // ignoring it would change the answer; its neutral values pass
};

struct FieldRule {
  std::string_view key;
  FieldTreatment treatment;
  FieldPlace place = FieldPlace::both;
  std::string_view neutral = {};  // of what is refused: a JSON array of the values that say no more than the default
};

std::span<const FieldRule> field_rules();

/// Throws BadRequest naming a field that is refused, and one that is unknown unless `ignore_unknown`.
void check_fields(const boost::json::object& body, bool chat, bool ignore_unknown);

}  // namespace incipit
