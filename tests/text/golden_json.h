#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace incipit {

inline std::vector<int32_t> ids_of(const boost::json::value& array) {
  return boost::json::value_to<std::vector<int32_t>>(array);
}

inline std::string text_of(const boost::json::value& string) { return boost::json::value_to<std::string>(string); }

}  // namespace incipit
