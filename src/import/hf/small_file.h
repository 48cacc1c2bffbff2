// What the readers of a checkpoint's small JSON files share.
#pragma once

#include <boost/json/string.hpp>
#include <cstddef>
#include <string>

namespace incipit {

/// The most bytes that such a file may have.
constexpr size_t small_file = size_t{64} << 20;

inline std::string text_of(const boost::json::string& text) { return {text.data(), text.size()}; }

}  // namespace incipit
