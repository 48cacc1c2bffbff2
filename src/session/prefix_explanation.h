// Why a prompt did not start further behind its beginning.
#pragma once

#include <cstdint>

namespace incipit {

struct PrefixExplanation {
  enum class Reason : uint8_t {
    last_token,  // all was there but the last token, which is always computed
    differs,     // the nearest prefix goes on with another token
    ends,        // the nearest prefix ends
    page,        // a request that runs has more in common, in a page that is not full yet
    evicted,     // more was there, and its pages went to others
  };

  int32_t reused = 0;    // tokens
  int32_t position = 0;  // of the first token that the nearest prefix does not have
  int32_t own = -1;      // that token; −1: the prompt ends there
  int32_t held = -1;     // the nearest prefix's token there; −1: it ends, or is not known any more
  Reason reason = Reason::ends;
  int32_t of_other_salt = 0;  // tokens in common with the nearest prefix of another salt
};

}  // namespace incipit
