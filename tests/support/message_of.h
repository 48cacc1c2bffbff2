// What a refusal says.
#pragma once

#include <string>

#include "base/error.h"

namespace incipit {

/// The message of the Error that `function` throws; "no error" when it throws none.
template <typename F>
std::string message_of(F&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace incipit
