// How a fault of a plan is told, for those who check its parts.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/dtype.h"
#include "base/error.h"
#include "engine/plan_items.h"

namespace incipit {

class PlanFaults {
 public:
  explicit PlanFaults(std::string_view engine) : engine_(engine) {}

 protected:
  std::string_view engine() const { return engine_; }

  template <typename... Parts>
  [[noreturn]] void fail(fmt::format_string<Parts...> format, Parts&&... parts) const {
    throw Error(engine_, "its plan is inconsistent: " + fmt::format(format, std::forward<Parts>(parts)...),
                "build the engine again");
  }

  void check_range(std::string_view what, uint64_t value, uint64_t lowest, uint64_t highest) const {
    if (value < lowest || value > highest) {
      fail("{} is {}, expected between {} and {}", what, value, lowest, highest);
    }
  }

  std::string_view check_text(const std::string& what, const flatbuffers::String* string) const {
    if (text(string).empty()) fail("{} is missing", what);
    return text(string);
  }

  DType check_dtype(const std::string& what, const flatbuffers::String* string) const {
    const std::string_view name = check_text(what + " dtype", string);
    try {
      return dtype_from_name(name);
    } catch (const Error&) {
      fail("{} has the unknown dtype '{}'", what, name);
    }
  }

 private:
  std::string_view engine_;
};

}  // namespace incipit
